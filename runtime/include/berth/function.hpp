#pragma once
// Handles of functions: what a program calls.
//
//   auto f = rt.function<digit(std::span<const float>)>("digits/classify@prod");
//   digit d = f(pixels);                      // throws berth::error
//   berth::result<digit> r = f.try_(pixels);  // does not
//   f.within(50ms)(pixels);  f.with({.sticky = "user-7"})(pixels);
//   berth::future<digit> p = f.async(pixels);
//   for (auto& one : f.with({.in_flight = 64, .ordered = false}).map(images)) …

#include <berth/call.hpp>
#include <berth/codec.hpp>
#include <berth/describe.hpp>
#include <berth/future.hpp>
#include <berth/map.hpp>
#include <berth/stream.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace berth {

template <class F>
class function;

namespace detail {

template <class R>
inline constexpr bool is_stream_type = is_stream<std::remove_cvref_t<R>>;

/// A parameter as a handle takes it: a stream is handed over, everything else is looked at.
template <class P>
using passed =
    std::conditional_t<is_stream_type<P>, std::remove_cvref_t<P>, const std::remove_cvref_t<P>&>;

/// The parameters that travel in the block: all but streams.
template <class Done, class... Rest>
struct block_params {
  using type = Done;
};

template <class... Done, class P, class... Rest>
struct block_params<type_list<Done...>, P, Rest...> {
  using more = std::conditional_t<is_stream_type<P>, type_list<Done...>, type_list<Done..., P>>;
  using type = typename block_params<more, Rest...>::type;
};

template <class List>
struct pack_of;

template <class... Ps>
struct pack_of<type_list<Ps...>> {
  using type = codec::pack<Ps...>;
};

template <class P>
auto in_block(const P& given) {
  if constexpr (is_stream_type<P>)
    return std::tuple<>();
  else
    return std::tuple<const P&>(given);
}

/// One call of a function type: its blocks and how they are read.
template <class R, class... Ps>
struct call_of {
  using pack = typename pack_of<typename block_params<type_list<>, Ps...>::type>::type;
  static constexpr std::size_t streams = (std::size_t{is_stream_type<Ps>} + ... + 0);
  static_assert(streams <= 1, "a function can take one stream: a call carries one stream of items");
  static constexpr bool streamed = streams == 1 || is_stream_type<R>;

  template <class Use>
  static auto with_block(Use&& use, const std::remove_cvref_t<Ps>&... ps) {
    return std::apply(std::forward<Use>(use), std::tuple_cat(in_block(ps)...));
  }

  /// The whole synchronous call. Encodes again when the call did not start where it was sent.
  template <class Take>
  static auto synchronous(const callee_ref& to,
                          const call_settings& how,
                          Take take,
                          const std::remove_cvref_t<Ps>&... ps)
      -> decltype(take(std::declval<sync_call&>())) {
    sync_call call(to, how);
    for (;;) {
      const codec::plan plan = pack::measure(ps...);
      std::byte* const room = call.begin(plan);
      if (room == nullptr) return std::move(call.error());
      std::vector<external> externals;
      pack::write(room, externals, ps...);
      switch (call.finish(externals)) {
        case sync_call::step::answered:
          return take(call);
        case sync_call::step::failed:
          return std::move(call.error());
        case sync_call::step::again:
          break;
      }
    }
  }

  /// Fills a call that keeps its arguments.
  template <class Kept>
  static void fill(Kept& call, const std::remove_cvref_t<Ps>&... ps) {
    with_block(
        [&call](const auto&... xs) {
          std::byte* const room = call.room(pack::measure(xs...));
          std::vector<external> externals;
          pack::write(room, externals, xs...);
          call.start(std::move(externals));
        },
        ps...);
  }
};

/// The items a caller sends, encoded one by one as the callee welcomes them.
class outgoing {
 public:
  virtual ~outgoing() = default;
  /// Sends the next item, or ends the stream; false once it has ended.
  virtual bool send_one(stream_call& over) = 0;
};

template <class T>
class outgoing_items final : public outgoing {
 public:
  explicit outgoing_items(stream<T> items) : items_(std::move(items)) {}

  bool send_one(stream_call& over) override {
    std::optional<T> item = items_.next();
    if (!item) {
      over.end_items();
      return false;
    }
    std::vector<external> externals;
    bytes block = codec::encode(externals, *item);
    over.send(std::move(block), std::move(externals));
    return true;
  }

 private:
  stream<T> items_;
};

template <class P>
void take_outgoing(std::unique_ptr<outgoing>& to, P& given) {
  if constexpr (is_stream_type<P>)
    to = std::make_unique<outgoing_items<typename P::value_type>>(std::move(given));
  else
    (void)to, (void)given;
}

/// A call with streams that is under way.
struct BERTH_API conversation {
  std::unique_ptr<stream_call> call;
  std::unique_ptr<outgoing> sends;

  /// Sends what is welcome and waits for what the callee says.
  stream_call::turn next();
};

template <class T>
class remote_stream final : public stream_source<T> {
 public:
  explicit remote_stream(conversation talk) : talk_(std::move(talk)) {}

  std::optional<T> next() override {
    switch (talk_.next()) {
      case stream_call::turn::item:
        return codec::read<T>(talk_.call->block()).value();
      case stream_call::turn::answered:
        return std::nullopt;
      default:
        throw error(std::move(talk_.call->error()));
    }
  }

 private:
  conversation talk_;
};

template <class R>
result<R> outcome_of(pending* done) {
  auto& call = static_cast<async_call&>(*done);
  if (error_info* why = call.failed()) return std::move(*why);
  return codec::read<R>(call.reply());
}

}  // namespace detail

/// A handle: a value whose copies share what they refer to; follows flips and moves by itself. Threads: any.
/// After `fork()`, and after its cluster went down, every call fails.
template <class R, class... Ps>
class function<R(Ps...)> {
  using shape_of_call = detail::call_of<R, Ps...>;

 public:
  using result_type = R;

  /// Refers to nothing; calling it fails `invalid`.
  function() = default;

  function(detail::callee_ref to, detail::call_settings how) : to_(std::move(to)), how_(how) {}

  /// Calls and waits. Throws `berth::error`. A stream result comes item by item as it is read.
  R operator()(detail::passed<Ps>... ps) const {
    if constexpr (detail::is_stream_type<R>)
      return R(std::make_unique<detail::remote_stream<typename R::value_type>>(talk(ps...)));
    else
      return try_(static_cast<detail::passed<Ps>&&>(ps)...).value();
  }

  /// As a call, with the error as a value.
  result<R> try_(detail::passed<Ps>... ps) const {
    static_assert(!detail::is_stream_type<R>,
                  "a stream tells its errors while it is read: call it");
    if constexpr (shape_of_call::streamed) {
      return after_talk(talk(ps...));
    } else {
      return shape_of_call::synchronous(
          to_, how_,
          [](detail::sync_call& call) -> result<R> { return codec::read<R>(call.reply()); }, ps...);
    }
  }

  /// As a call; tells which version answered.
  berth::reply<R> reply(detail::passed<Ps>... ps) const {
    static_assert(!shape_of_call::streamed, "which version answers a stream is not told");
    return shape_of_call::synchronous(
               to_, how_,
               [](detail::sync_call& call) -> result<berth::reply<R>> {
                 auto read = codec::read<R>(call.reply());
                 if (!read) return std::move(read).error();
                 if constexpr (std::is_void_v<R>)
                   return berth::reply<R>{call.version()};
                 else
                   return berth::reply<R>{*std::move(read), call.version()};
               },
               ps...)
        .value();
  }

  /// Sends and does not wait; the arguments have been encoded when it returns. Errors are the future's.
  future<R> async(detail::passed<Ps>... ps) const {
    static_assert(!shape_of_call::streamed,
                  "a call with a stream needs the caller's thread to drive it: call it");
    auto call = detail::async_call::make(to_, how_);
    shape_of_call::fill(*call, ps...);
    return future<R>(detail::pending_ref<detail::pending>(call.release()), &detail::outcome_of<R>);
  }

  /// Calls once an item (for several parameters: a tuple), a window of `in_flight` under way, and hands out a result or
  /// an error for each. An lvalue range must outlive the result.
  template <class Items>
  auto map(Items&& items) const {
    static_assert(!shape_of_call::streamed, "map calls functions without streams");
    return mapped<R, function, Items>(*this, std::forward<Items>(items), how_.in_flight,
                                      how_.ordered);
  }

  /// The same handle with a deadline for each call, counted from the call on.
  template <class Rep, class Period>
  [[nodiscard]] function within(std::chrono::duration<Rep, Period> span) const {
    auto how = how_;
    how.within = std::chrono::duration_cast<std::chrono::nanoseconds>(span);
    if (how.within.count() <= 0) how.within = std::chrono::nanoseconds(1);
    return function(to_, how);
  }

  /// The same handle with other options; what they leave out stays.
  [[nodiscard]] function with(const call_options& options) const {
    return function(to_, detail::merged(how_, options, to_));
  }

 private:
  template <class, class, class>
  friend class mapped;

  /// As `async`, waiting for a place as long as it takes.
  detail::pending_ref<detail::async_call> start_patiently(
      const std::remove_cvref_t<Ps>&... ps) const {
    auto how = how_;
    how.patience = std::chrono::nanoseconds::max();
    auto call = detail::async_call::make(to_, how);
    shape_of_call::fill(*call, ps...);
    return call;
  }

  detail::conversation talk(detail::passed<Ps>&... ps) const {
    detail::conversation made;
    made.call =
        detail::stream_call::make(to_, how_,
                                  shape_of_call::streams == 1 ? detail::stream_call::items::sent
                                                              : detail::stream_call::items::none);
    shape_of_call::fill(*made.call, ps...);
    (detail::take_outgoing(made.sends, ps), ...);
    return made;
  }

  static result<R> after_talk(detail::conversation talk) {
    for (;;) {
      switch (talk.next()) {
        case detail::stream_call::turn::answered:
          return codec::read<R>(talk.call->block());
        case detail::stream_call::turn::failed:
          return std::move(talk.call->error());
        default:
          break;
      }
    }
  }

  detail::callee_ref to_;
  detail::call_settings how_;
};

}  // namespace berth
