#pragma once
// Thunks: what stands between a hot block and a C++ function.
//
// For each exported function the compiler makes one set of C entries (<berth/abi.hpp>): decode the arguments where
// they lie, call, encode the result into memory the host offers, and turn every exception into a failure. Arguments
// that were bound when shipping are decoded once and stand in a `bindings`; a call then brings only the others, laid
// out as if the bound parameters did not exist.
//
// Included through <berth/module.hpp>.

#include <array>
#include <berth/abi.hpp>
#include <berth/codec.hpp>
#include <berth/describe.hpp>
#include <berth/error.hpp>
#include <berth/shape.hpp>
#include <berth/stream.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

/// Runs once a replica: the compiler need not spend its time on it.
#define BERTH_RARELY __attribute__((cold, noinline))

namespace berth::detail {

// ---- reporting and payloads; in libberth

/// Says the exception being handled to the sink: `berth::failure` with its payload, `berth::error` as it is, any other
/// by its type and what(). Call it in a handler.
BERTH_API void fail_with_current_exception(const berth_sink* sink) noexcept;
BERTH_API void fail_with(const berth_sink* sink, const error_info& why) noexcept;
BERTH_API bool attach_externals(const berth_sink* sink, std::span<const external> externals);
BERTH_API block_view view_of(const berth_view& from, std::vector<external>& externals);
[[noreturn]] BERTH_API void throw_failure(const berth_failure& why);

// ---- which types may stand in an exported function

template <class T>
inline constexpr bool is_mutable_span = false;
template <class E, std::size_t N>
inline constexpr bool is_mutable_span<std::span<E, N>> = !std::is_const_v<E>;

/// Instantiated for each parameter as declared, so that a refusal names it.
template <class P>
struct exported_parameter {
  using plain = std::remove_cvref_t<P>;
  static_assert(!std::is_lvalue_reference_v<P> || std::is_const_v<std::remove_reference_t<P>>,
                "an exported function cannot take a non-const reference (P in the notes): the "
                "caller's object is in "
                "another process; take it by value and return the changed one");
  static_assert(!is_mutable_span<plain>,
                "an exported function cannot take a mutable span (P in the notes): take "
                "std::span<const T>, or a "
                "vector by value, and return what changed");
  static_assert(!std::is_pointer_v<plain>,
                "an exported function cannot take a pointer (P in the notes): take a value, a span "
                "or a string_view");
  static constexpr bool is_source = is_stream<plain>;
};

/// Instantiated for the result as declared.
template <class R>
struct exported_result {
  using plain = std::remove_cvref_t<R>;
  static_assert(
      !std::is_reference_v<R>,
      "an exported function cannot return a reference (R in the notes): return the value");
  static_assert(!std::is_pointer_v<plain>,
                "an exported function cannot return a pointer (R in the notes): return the value");
  static_assert(
      !is_mutable_span<plain>,
      "an exported function cannot return a view (R in the notes): return a string or a vector");
  static constexpr bool streams = is_stream<plain>;
};

template <class T>
struct streamed;

template <class T>
struct streamed<stream<T>> {
  using item = T;
};

/// What one result or item is encoded as. A view would outlive what it looks at.
template <class T>
struct given {
  using type = T;
  static_assert(
      !layout_of<T>.borrows,
      "an exported function cannot return a view (T in the notes): return a string or a vector");
};

template <class T>

requires(is_mutable_span<T> || std::is_void_v<T>) struct given<T> {
  using type = T;
};

// ---- arguments

template <class P>
struct kept_as {
  using type = codec::stored<P>;
};

template <class P>

requires(is_stream<std::remove_cvref_t<P>>) struct kept_as<P> {
  using type = std::remove_cvref_t<P>;
};

/// What a parameter declared `P` is kept as while the call runs.
template <class P>
using kept = typename kept_as<P>::type;

/// Items of a stream that the caller sends.
template <class T>
class pulled_source final : public stream_source<T> {
 public:
  explicit pulled_source(const berth_source& from) : from_(from) {}

  std::optional<T> next() override {
    berth_view item{};
    berth_failure why{};
    const int got = from_.pull(from_.context, &item, &why);
    if (got < 0) throw_failure(why);
    if (got == 0) return std::nullopt;
    std::vector<external> externals;
    return codec::read<T>(view_of(item, externals)).value();
  }

 private:
  berth_source from_;
};

/// Where each parameter lies in a call's block, and the ones that are bound.
template <class... Ps>
struct bindings {
  static constexpr std::size_t size = sizeof...(Ps);
  static constexpr std::array<bool, size + 1> sources{exported_parameter<Ps>::is_source..., false};
  static constexpr std::size_t source_count =
      (std::size_t{exported_parameter<Ps>::is_source} + ... + 0);

  std::array<std::size_t, size + 1> offset{};
  std::size_t fixed_bytes = 0;
  std::array<bool, size + 1> bound{};
  std::tuple<kept<Ps>...> values{};
  std::vector<external> externals;  // of the bound values; those that share memory point into it

  bindings() { lay_out(); }

  /// The offsets of all that is neither bound nor a stream; no bytes at all when nothing is left.
  void lay_out() {
    sequence s;
    bool any = false;
    [[maybe_unused]] std::size_t i = 0;
    ((sources[i] || bound[i] ? void() : (any = true, void(offset[i] = s.add(part_layout<Ps>()))),
      ++i),
     ...);
    fixed_bytes = any ? s.done().bytes : 0;
  }

  /// The layout when nothing is bound.
  static const bindings& none() {
    static const bindings free;
    return free;
  }

  BERTH_RARELY result<void> bind(const berth_bound* from, std::uint32_t count) {
    for (std::uint32_t n = 0; n < count; ++n) {
      if (from[n].parameter >= size || bound[from[n].parameter])
        return fail(kind::invalid, "bad_binding",
                    "a bound argument names no parameter, or one that is bound already");
      if (auto ok = bind_each(from[n], std::index_sequence_for<Ps...>{}); !ok) return ok;
    }
    lay_out();
    return {};
  }

 private:
  template <class P>
  static constexpr layout part_layout() {
    if constexpr (is_stream<std::remove_cvref_t<P>>)
      return {};
    else
      return layout_of<codec::stored<P>>;
  }

  template <std::size_t... I>
  BERTH_RARELY result<void> bind_each(const berth_bound& one, std::index_sequence<I...>) {
    result<void> ok;
    (void)((I == one.parameter && (ok = bind_one<I, Ps>(one.value), true)) || ...);
    return ok;
  }

  template <std::size_t I, class P>
  BERTH_RARELY result<void> bind_one(const berth_view& from) {
    if constexpr (is_stream<std::remove_cvref_t<P>>) {
      return fail(kind::invalid, "bad_binding", "a stream parameter cannot be bound");
    } else if constexpr (!std::is_copy_constructible_v<kept<P>>) {
      return fail(kind::invalid, "bad_binding",
                  "a parameter whose type cannot be copied cannot be bound");
    } else {
      reader r(view_of(from, externals), layout_of<kept<P>>.bytes);
      if (r.why == flaw::none) (void)get(r, r.base, std::get<I>(values));
      if (const flaw f = r.finish(); f != flaw::none)
        return codec::explain(f).at("while decoding a bound argument");
      bound[I] = true;
      return {};
    }
  }
};

/// The arguments of one call. What it decoded lives in it, so a stream keeps it until it ends.
template <class... Ps>
class arguments {
 public:
  explicit arguments(const bindings<Ps...>* bound)
      : with_(bound ? *bound : bindings<Ps...>::none()) {}

  flaw read(const berth_call& call) {
    reader r(view_of(*call.arguments, externals_), with_.fixed_bytes);
    if (r.why != flaw::none) return r.why;
    read_each(r, call, std::index_sequence_for<Ps...>{});
    return r.finish();
  }

  template <class F>
  decltype(auto) apply(F&& f) {
    return [&]<std::size_t... I>(std::index_sequence<I...>)->decltype(auto) {
      return std::forward<F>(f)(hand<I, Ps>()...);
    }
    (std::index_sequence_for<Ps...>{});
  }

 private:
  template <std::size_t... I>
  void read_each(reader& r, const berth_call& call, std::index_sequence<I...>) {
    [[maybe_unused]] std::uint32_t source = 0;
    (void)(read_one<I, Ps>(r, call, source) && ...);
  }

  template <std::size_t I, class P>
  bool read_one(reader& r, const berth_call& call, std::uint32_t& source) {
    auto& value = std::get<I>(values_);
    if constexpr (is_stream<std::remove_cvref_t<P>>) {
      using item = typename streamed<std::remove_cvref_t<P>>::item;
      if (source >= call.source_count) return r.refuse(flaw::too_short);
      value = stream<item>(std::make_unique<pulled_source<item>>(call.sources[source++]));
      return true;
    } else {
      if (with_.bound[I]) [[unlikely]] {
        // A reference goes to the one decoded value; what the function may move from gets its own copy.
        if constexpr (!std::is_lvalue_reference_v<P> && std::is_copy_constructible_v<kept<P>>)
          value = std::get<I>(with_.values);
        return true;
      }
      return get(r, r.base + with_.offset[I], value);
    }
  }

  template <std::size_t I, class P>
  decltype(auto) hand() {
    if constexpr (is_stream<std::remove_cvref_t<P>>) {
      return std::move(std::get<I>(values_));
    } else if constexpr (std::is_lvalue_reference_v<P>) {
      const auto& value = with_.bound[I] ? std::get<I>(with_.values) : std::get<I>(values_);
      if constexpr (std::is_same_v<std::remove_cvref_t<P>, kept<P>>)
        return static_cast<P>(value);
      else
        return std::remove_cvref_t<P>(value);
    } else {
      return pass<P>(std::get<I>(values_));
    }
  }

  const bindings<Ps...>& with_;
  std::vector<external> externals_;
  std::tuple<kept<Ps>...> values_{};
};

// ---- results

/// Encodes a value into the sink's memory.
template <class T>
int give(const berth_sink* sink, const T& value) {
  using pack = codec::pack<T>;
  const codec::plan plan = pack::measure(value);
  if (auto ok = codec::check(plan); !ok) {
    fail_with(sink, ok.error());
    return berth_failed;
  }
  auto* out = static_cast<std::byte*>(sink->reserve(sink->context, plan.bytes, plan.externals));
  if (out == nullptr) return berth_failed;
  std::vector<external> externals;
  pack::write(out, externals, value);
  return externals.empty() || attach_externals(sink, externals) ? berth_done : berth_failed;
}

/// Runs `f`; whatever it throws is told to the sink.
template <class F, class Failed>
auto guarded(const berth_sink* sink, Failed failed, F&& f) noexcept(false) {
  try {
    return f();
  } catch (...) {
    fail_with_current_exception(sink);
    return failed;
  }
}

/// A stream under way: arguments, and the coroutine that may look at them.
template <class R, class... Ps>
struct generator {
  explicit generator(const bindings<Ps...>* bound) : in(bound) {}

  arguments<Ps...> in;
  R items;
};

// ---- the C entries

/// Entries of anything that is called with `Ps` and gives `R`. `Target::call(state)` is the callable,
/// `Target::bound(state)` its bindings or null.
template <class Target, class R, class... Ps>
struct entries {
  static constexpr bool streams = exported_result<R>::streams;
  using plain = std::remove_cvref_t<R>;

  static int invoke(void* state, const berth_call* call, const berth_sink* sink) {
    return guarded(sink, int{berth_failed}, [&]() -> int {
      arguments<Ps...> in(Target::bound(state));
      if (const flaw f = in.read(*call); f != flaw::none) {
        fail_with(sink, codec::explain(f));
        return berth_failed;
      }
      if constexpr (std::is_void_v<R>) {
        in.apply(Target::call(state));
        return berth_done;
      } else {
        return give<typename given<plain>::type>(sink, in.apply(Target::call(state)));
      }
    });
  }

  static void* open(void* state, const berth_call* call, const berth_sink* sink) {
    using made = generator<plain, Ps...>;
    return guarded(sink, static_cast<void*>(nullptr), [&]() -> void* {
      auto g = std::make_unique<made>(Target::bound(state));
      if (const flaw f = g->in.read(*call); f != flaw::none) {
        fail_with(sink, codec::explain(f));
        return nullptr;
      }
      g->items = g->in.apply(Target::call(state));
      return g.release();
    });
  }

  static int next(void* state, const berth_sink* sink) {
    return guarded(sink, int{berth_failed}, [&]() -> int {
      auto item = static_cast<generator<plain, Ps...>*>(state)->items.next();
      if (!item) return berth_ended;
      return give<typename given<typename streamed<plain>::item>::type>(sink, *item);
    });
  }

  static void close(void* state) { delete static_cast<generator<plain, Ps...>*>(state); }

  static constexpr berth_function table() {
    berth_function t{};
    t.parameter_count = sizeof...(Ps);
    t.source_count = bindings<Ps...>::source_count;
    if constexpr (streams) {
      t.flags = berth_flag_stream;
      t.open = &open;
      t.next = &next;
      t.close = &close;
    } else {
      t.invoke = &invoke;
    }
    return t;
  }
};

/// Parameters and result of a callable given as a template argument.
template <class F>
struct callable {
  static_assert(!sizeof(F), "this is no function that can be exported (F in the notes)");
};

template <class R, class... Ps>
struct callable<R (*)(Ps...)> {
  template <class Target>
  using entries_of = entries<Target, R, Ps...>;
  using bindings_type = bindings<Ps...>;
  static constexpr std::size_t arity = sizeof...(Ps);

  BERTH_RARELY static signature sign(std::span<const std::string_view> names, std::string method) {
    return signature_of<R(Ps...)>(names, std::move(method));
  }
};

template <class R, class... Ps>
struct callable<R (*)(Ps...) noexcept> : callable<R (*)(Ps...)> {};

template <class C, class R, class... Ps>
struct callable<R (C::*)(Ps...)> : callable<R (*)(Ps...)> {};

template <class C, class R, class... Ps>
struct callable<R (C::*)(Ps...) const> : callable<R (*)(Ps...)> {};

template <class C, class R, class... Ps>
struct callable<R (C::*)(Ps...) noexcept> : callable<R (*)(Ps...)> {};

template <class C, class R, class... Ps>
struct callable<R (C::*)(Ps...) const noexcept> : callable<R (*)(Ps...)> {};

/// A captureless lambda is the function it converts to.
template <class F>

requires(std::is_class_v<F>) struct callable<F> : callable<decltype(+std::declval<F>())> {
};

/// A free function, its bindings as the state.
template <auto F>
struct function_target {
  using traits = callable<std::remove_const_t<decltype(F)>>;
  using bindings_type = typename traits::bindings_type;

  static constexpr auto call(void*) { return F; }

  static const bindings_type* bound(void* state) {
    return static_cast<const bindings_type*>(state);
  }

  BERTH_RARELY static void* bind(const berth_bound* from,
                                 std::uint32_t count,
                                 const berth_sink* sink) {
    return guarded(sink, static_cast<void*>(nullptr), [&]() -> void* {
      auto state = std::make_unique<bindings_type>();
      if (auto ok = state->bind(from, count); !ok) {
        fail_with(sink, ok.error());
        return nullptr;
      }
      return state.release();
    });
  }

  static void unbind(void* state) { delete static_cast<bindings_type*>(state); }

  static constexpr berth_function table() {
    auto t = traits::template entries_of<function_target>::table();
    t.bind = &bind;
    t.unbind = &unbind;
    return t;
  }
};

/// An object of an exported class and the arguments it was constructed with, which it may look at.
template <class Constructor>
struct hosted_object;

template <class C, class... Ps>
struct hosted_object<C(Ps...)> {
  using class_type = C;
  static constexpr std::size_t arity = sizeof...(Ps);
  static_assert((!exported_parameter<Ps>::is_source && ...), "a constructor cannot take a stream");

  explicit hosted_object(std::unique_ptr<bindings<Ps...>> with)
      : bound(std::move(with)), instance(make(*bound, std::index_sequence_for<Ps...>{})) {}

  std::unique_ptr<bindings<Ps...>> bound;
  C instance;

  BERTH_RARELY static void* construct(const berth_bound* from,
                                      std::uint32_t count,
                                      const berth_sink* sink) {
    return guarded(sink, static_cast<void*>(nullptr), [&]() -> void* {
      auto with = std::make_unique<bindings<Ps...>>();
      auto ok = with->bind(from, count);
      if (ok && count != sizeof...(Ps))
        ok = fail(kind::invalid, "unbound_constructor",
                  "every parameter of an exported constructor is bound when shipping (--with "
                  "name=value)");
      if (!ok) {
        fail_with(sink, ok.error());
        return nullptr;
      }
      return new hosted_object(std::move(with));
    });
  }

  static void destroy(void* object) { delete static_cast<hosted_object*>(object); }

  BERTH_RARELY static signature sign(std::span<const std::string_view> names) {
    return signature_of<void(Ps...)>(names);
  }

 private:
  template <std::size_t... I>
  static C make(bindings<Ps...>& with, std::index_sequence<I...>) {
    return C(pass<Ps>(std::get<I>(with.values))...);
  }
};

/// A method; the state is the object that hosts the instance.
template <class Object, auto M>
struct method_target {
  using traits = callable<std::remove_const_t<decltype(M)>>;

  static auto call(void* state) {
    return [object = static_cast<Object*>(state)]<class... Xs>(Xs&&... xs) -> decltype(auto) {
      return (object->instance.*M)(std::forward<Xs>(xs)...);
    };
  }

  static const typename traits::bindings_type* bound(void*) { return nullptr; }

  static constexpr berth_function table() {
    return traits::template entries_of<method_target>::table();
  }
};

}  // namespace berth::detail
