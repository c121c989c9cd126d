#pragma once
// Exports: which functions and classes of this code can be called by name.
//
//   BERTH_EXPORT(&classify).params("w", "pixels").idempotent().concurrency(4);
//   BERTH_EXPORT(static_cast<int (*)(std::string)>(&write)).as("write");   // one of several overloads
//   BERTH_EXPORT(&largest<float>).as("largest");                           // an instance of a template
//   BERTH_CLASS(embedder(weights, int), embed, dimension).params("w", "threads").concurrency(4);
//   BERTH_HEALTH(&self_test);
//
// Each line stands at namespace scope, inside a namespace too, in the image (module or program) whose code it names.
// Parameters without a name are called arg0, arg1, … A class is constructed once a replica, from bound arguments;
// put BERTH_CLASS into the namespace of the class, so that `rt.service<embedder>(…)` finds its typed handle.

#include <algorithm>
#include <berth/abi.hpp>
#include <berth/thunk.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace berth::detail {

/// A function or method as registered. Plain pointers into static storage: nothing runs before it is asked for.
struct function_node {
  std::string_view name;
  berth_function entries{};
  signature (*sign)(std::span<const std::string_view> names, std::string method) = nullptr;
  const std::string_view* parameters = nullptr;
  std::size_t parameter_count = 0;  ///< of names given
};

/// An export as registered.
struct export_node {
  std::string_view symbol;
  std::uint32_t flags = 0;
  std::uint32_t concurrency = 1;
  const function_node* functions = nullptr;
  std::size_t function_count = 0;
  signature (*sign_constructor)(std::span<const std::string_view> names) = nullptr;
  const std::string_view* constructor_parameters = nullptr;
  std::size_t constructor_parameter_count = 0;
  void* (*construct)(const berth_bound*, std::uint32_t, const berth_sink*) = nullptr;
  void (*destroy)(void*) = nullptr;
  const char* problem =
      nullptr;  ///< what the line says that cannot be; the image is refused with it
  export_node* next = nullptr;
};

struct health_node {
  void (*run)() = nullptr;
  health_node* next = nullptr;
};

/// All that one image registered, in the order of its static constructors.
struct image_exports {
  export_node* first = nullptr;
  export_node* last = nullptr;
  health_node* first_health = nullptr;
  health_node* last_health = nullptr;
  int (*health)(const berth_sink*) = nullptr;  ///< runs the hooks of this very image
  berth_module_entry entry = nullptr;
  const berth_module* table = nullptr;  ///< made on the first request
};

/// The table of an image, made once. Threads: safe.
BERTH_API const berth_module* table_of(image_exports& image);
/// Lets this process's runtime know of an image; only announced ones are searched for sent functions.
BERTH_API void announce(image_exports& image);
BERTH_API int run_health(const image_exports& image, const berth_sink* sink);

/// "ns::f<int>" of "&ns::f<int>" or "static_cast<…>(&ns::f<int>)"; without the namespaces in front: "f<int>".
constexpr std::string_view symbol_of(std::string_view text) {
  constexpr std::string_view around = " \t\n()&";
  if (const auto cast = text.rfind('('); text.ends_with(')') && cast != std::string_view::npos)
    text = text.substr(cast);
  while (!text.empty() && around.find(text.back()) != std::string_view::npos)
    text.remove_suffix(1);
  while (!text.empty() && around.find(text.front()) != std::string_view::npos)
    text.remove_prefix(1);
  const auto arguments = std::min(text.find('<'), text.size());
  const auto scope = text.substr(0, arguments).rfind("::");
  return scope == std::string_view::npos ? text : text.substr(scope + 2);
}

/// The handle's own verbs: a method of that name could not be reached through it.
constexpr bool reserved_method(std::string_view name) {
  for (const std::string_view verb : {"with", "within", "try_", "async", "map", "publish", "tag"})
    if (name == verb) return true;
  return false;
}

// Per image, never shared between images: hidden, whatever the user's flags say.
#define BERTH_HIDDEN __attribute__((visibility("hidden")))

BERTH_HIDDEN inline constinit image_exports this_image{};

BERTH_HIDDEN inline int this_image_health(const berth_sink* sink) {
  return run_health(this_image, sink);
}

}  // namespace berth::detail

/// The one C entry of an image with exports.
extern "C" BERTH_API inline const berth_module* berth_module_v0() {
  return berth::detail::table_of(berth::detail::this_image);
}

namespace berth::detail {

/// What the chain behind BERTH_EXPORT says; a value that becomes a `registered` at the end of the line.
template <auto F>
class function_export {
 public:
  using target = function_target<F>;
  static constexpr std::size_t arity = target::traits::arity;

  constexpr explicit function_export(std::string_view text) : symbol_(symbol_of(text)) {}

  /// Names of all parameters, in order.
  template <class... Names>
  [[nodiscard]] constexpr function_export params(const Names&... names) const {
    static_assert(sizeof...(Names) == arity,
                  "params() names every parameter of the function, bound ones included");
    auto more = *this;
    std::size_t i = 0;
    ((more.parameters_[i++] = names), ...);
    more.named_ = true;
    return more;
  }

  /// Calling it twice does no harm: berth may retry a call whose outcome is unknown.
  [[nodiscard]] constexpr function_export idempotent() const {
    auto more = *this;
    more.flags_ |= berth_flag_idempotent;
    return more;
  }

  /// Calls a replica may run at once, on as many threads; 1 unless said otherwise.
  [[nodiscard]] constexpr function_export concurrency(std::uint32_t calls) const {
    auto more = *this;
    more.concurrency_ = calls;
    return more;
  }

  /// Another name than the function's own.
  [[nodiscard]] constexpr function_export as(std::string_view name) const {
    auto more = *this;
    more.symbol_ = name;
    return more;
  }

  /// Reachable by the place of its thunk only.
  [[nodiscard]] constexpr function_export sent() const {
    auto more = *this;
    more.flags_ |= berth_flag_sent;
    return more;
  }

 private:
  template <class Builder>
  friend class registered;

  struct storage {
    function_node function;
  };

  BERTH_RARELY void fill(export_node& node, storage& store) const {
    store.function.name = symbol_;
    store.function.entries = target::table();
    store.function.entries.flags |= flags_ & berth_flag_idempotent;
    store.function.sign = &target::traits::sign;
    store.function.parameters = parameters_;
    store.function.parameter_count = named_ ? arity : 0;
    node.symbol = symbol_;
    node.flags = flags_ & berth_flag_sent;
    node.concurrency = concurrency_;
    node.functions = &store.function;
    node.function_count = 1;
  }

  std::string_view symbol_;
  std::uint32_t flags_ = 0;
  std::uint32_t concurrency_ = 1;
  bool named_ = false;
  std::string_view parameters_[arity + 1] = {};
};

template <class Constructor>
using class_of = typename hosted_object<Constructor>::class_type;

/// What the chain behind BERTH_CLASS says. `params` names the constructor's parameters and `idempotent` is about all
/// methods; behind `method("embed")` both are about that one.
template <class Constructor, auto... Methods>
class class_export {
 public:
  using object = hosted_object<Constructor>;
  static constexpr std::size_t count = sizeof...(Methods);

  template <class... Names>
  constexpr explicit class_export(std::string_view text, const Names&... methods)
      : symbol_(symbol_of(text.substr(0, text.find('(')))), methods_{methods...} {}

  template <class... Names>
  [[nodiscard]] constexpr class_export params(const Names&... names) const {
    auto more = *this;
    if (sizeof...(Names) != arity[selected_]) {
      more.problem_ =
          "params() does not name every parameter of the constructor or method it is about";
      return more;
    }
    std::size_t i = start(selected_);
    ((more.parameters_[i++] = names), ...);
    more.named_[selected_] = true;
    return more;
  }

  [[nodiscard]] constexpr class_export idempotent() const {
    auto more = *this;
    for (std::size_t i = 0; i < count; ++i)
      if (selected_ == count || selected_ == i) more.idempotent_[i] = true;
    return more;
  }

  /// Calls a replica may run at once, on as many threads; 1 unless said otherwise.
  [[nodiscard]] constexpr class_export concurrency(std::uint32_t calls) const {
    auto more = *this;
    more.concurrency_ = calls;
    return more;
  }

  /// Another name than the class's own.
  [[nodiscard]] constexpr class_export as(std::string_view name) const {
    auto more = *this;
    more.symbol_ = name;
    return more;
  }

  /// What follows is about this method.
  [[nodiscard]] constexpr class_export method(std::string_view name) const {
    auto more = *this;
    more.selected_ = 0;
    while (more.selected_ < count && methods_[more.selected_] != name)
      ++more.selected_;
    if (more.selected_ == count) more.problem_ = "method() names none of the exported methods";
    return more;
  }

 private:
  template <class Builder>
  friend class registered;

  static constexpr std::size_t arity[count + 1] = {
      callable<std::remove_const_t<decltype(Methods)>>::arity..., object::arity};

  static constexpr std::size_t start(std::size_t which) {
    std::size_t at = 0;
    for (std::size_t i = 0; i < which; ++i)
      at += arity[i];
    return at;
  }

  struct storage {
    function_node functions[count];
  };

  template <std::size_t I, auto Method>
  BERTH_RARELY void fill_method(function_node& node) const {
    using target = method_target<object, Method>;
    node.name = methods_[I];
    node.entries = target::table();
    if (idempotent_[I]) node.entries.flags |= berth_flag_idempotent;
    node.sign = &target::traits::sign;
    node.parameters = parameters_ + start(I);
    node.parameter_count = named_[I] ? arity[I] : 0;
  }

  BERTH_RARELY void fill(export_node& node, storage& store) const {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (fill_method<I, Methods>(store.functions[I]), ...);
    }
    (std::make_index_sequence<count>{});
    node.symbol = symbol_;
    node.flags = berth_flag_class;
    node.concurrency = concurrency_;
    node.functions = store.functions;
    node.function_count = count;
    node.sign_constructor = &object::sign;
    node.constructor_parameters = parameters_ + start(count);
    node.constructor_parameter_count = named_[count] ? arity[count] : 0;
    node.construct = &object::construct;
    node.destroy = &object::destroy;
    node.problem = problem_;
  }

  std::string_view symbol_;
  std::string_view methods_[count];
  const char* problem_ = nullptr;
  std::size_t selected_ = count;
  std::uint32_t concurrency_ = 1;
  bool idempotent_[count] = {};
  bool named_[count + 1] = {};
  std::string_view parameters_[start(count) + arity[count] + 1] = {};
};

/// An export in the list of its image. A resource with static storage; made where the line's chain ends.
template <class Builder>
class registered : private export_node {
 public:
  BERTH_RARELY registered(const Builder& said)
      : said_(said) {  // NOLINT(google-explicit-constructor)
    said_.fill(*this, store_);
    abi::leave_stamp();
    this_image.entry = &berth_module_v0;
    (this_image.last ? this_image.last->next : this_image.first) = this;
    this_image.last = this;
    if (this_image.first == this) announce(this_image);
  }

  registered(const registered&) = delete;
  registered& operator=(const registered&) = delete;

 private:
  Builder said_;
  typename Builder::storage store_;
};

class registered_health : private health_node {
 public:
  explicit registered_health(void (*hook)()) {
    run = hook;
    this_image.health = &this_image_health;
    (this_image.last_health ? this_image.last_health->next : this_image.first_health) = this;
    this_image.last_health = this;
  }

  registered_health(const registered_health&) = delete;
  registered_health& operator=(const registered_health&) = delete;
};

/// Names the function whose code a program sends (`rt.send<F>()`).
template <auto F>
BERTH_HIDDEN inline registered sent_function = function_export<F>("").sent();

/// The C entry by whose place in the image a sent function is known.
template <auto F>
const void* sent_thunk() {
  (void)&sent_function<F>;
  constexpr auto table = function_target<F>::table();
  if constexpr ((table.flags & berth_flag_stream) != 0)
    return reinterpret_cast<const void*>(table.open);
  else
    return reinterpret_cast<const void*>(table.invoke);
}

}  // namespace berth::detail

// ---- the macros

#define BERTH_JOIN_(a, b) a##b
#define BERTH_JOIN(a, b) BERTH_JOIN_(a, b)

// BERTH_EACH(m, x, a, b, …) is m(x, a) m(x, b) …, for up to some three hundred.
#define BERTH_PARENS ()
#define BERTH_EXPAND(...) BERTH_EXPAND3(BERTH_EXPAND3(BERTH_EXPAND3(BERTH_EXPAND3(__VA_ARGS__))))
#define BERTH_EXPAND3(...) BERTH_EXPAND2(BERTH_EXPAND2(BERTH_EXPAND2(BERTH_EXPAND2(__VA_ARGS__))))
#define BERTH_EXPAND2(...) BERTH_EXPAND1(BERTH_EXPAND1(BERTH_EXPAND1(BERTH_EXPAND1(__VA_ARGS__))))
#define BERTH_EXPAND1(...) __VA_ARGS__
#define BERTH_EACH(macro, x, ...) __VA_OPT__(BERTH_EXPAND(BERTH_EACH_STEP(macro, x, __VA_ARGS__)))
#define BERTH_EACH_STEP(macro, x, first, ...) \
  macro(x, first) __VA_OPT__(BERTH_EACH_AGAIN BERTH_PARENS(macro, x, __VA_ARGS__))
#define BERTH_EACH_AGAIN() BERTH_EACH_STEP

#define BERTH_EXPORT(...)                                                                      \
  [[maybe_unused]] static ::berth::detail::registered BERTH_JOIN(berth_export_, __COUNTER__) = \
      ::berth::detail::function_export<(__VA_ARGS__)>(#__VA_ARGS__)

#define BERTH_HEALTH(...)                                                \
  [[maybe_unused]] static ::berth::detail::registered_health BERTH_JOIN( \
      berth_health_, __COUNTER__)([] { (void)(*(__VA_ARGS__))(); })

#define BERTH_CLASS(constructor, ...) BERTH_CLASS_NAMED(__COUNTER__, constructor, __VA_ARGS__)
#define BERTH_CLASS_NAMED(n, constructor, ...) BERTH_CLASS_LINES(n, constructor, __VA_ARGS__)

#define BERTH_CHECK_METHOD(type, name)                                               \
  static_assert(!::berth::detail::reserved_method(#name),                            \
                "`" #name                                                            \
                "` is a verb of berth's own handles and cannot be a method's name: " \
                "with, within, try_, async, map, publish, tag");
#define BERTH_METHOD_POINTER(type, name) , &type::name
#define BERTH_METHOD_NAME(type, name) , #name
#define BERTH_HANDLE_MEMBER(type, name) Member<&type::name> name;
#define BERTH_HANDLE_MADE(type, name) make.template operator()<&type::name>(#name),

// `berth_service_of(class*)`, found by argument-dependent lookup, leads to the handle: a struct with a member a method.
// All are local to the translation unit, so equal numbers in two of them do not clash.
#define BERTH_CLASS_LINES(n, constructor, ...)                                                    \
  BERTH_EACH(BERTH_CHECK_METHOD, _, __VA_ARGS__)                                                  \
  namespace {                                                                                     \
  using berth_class_##n = ::berth::detail::class_of<constructor>;                                 \
  template <template <auto> class Member>                                                         \
  struct berth_handle_##n {                                                                       \
    BERTH_EACH(BERTH_HANDLE_MEMBER, berth_class_##n, __VA_ARGS__)                                 \
  };                                                                                              \
  struct berth_service_##n {                                                                      \
    using class_type = berth_class_##n;                                                           \
    template <template <auto> class Member>                                                       \
    using handle = berth_handle_##n<Member>;                                                      \
    template <template <auto> class Member, class Make>                                           \
    static handle<Member> made(Make&& make) {                                                     \
      return {BERTH_EACH(BERTH_HANDLE_MADE, class_type, __VA_ARGS__)};                            \
    }                                                                                             \
  };                                                                                              \
  } /* namespace */                                                                               \
  [[maybe_unused]] static berth_service_##n berth_service_of(berth_class_##n*) {                  \
    return {};                                                                                    \
  }                                                                                               \
  [[maybe_unused]] static ::berth::detail::registered berth_export_##n =                          \
      ::berth::detail::class_export<constructor BERTH_EACH(BERTH_METHOD_POINTER, berth_class_##n, \
                                                           __VA_ARGS__)>(                         \
          #constructor BERTH_EACH(BERTH_METHOD_NAME, _, __VA_ARGS__))
