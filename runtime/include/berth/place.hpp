#pragma once
// Places: a cluster by name, and code sent there from the running program.
//
//   auto local = rt.on("local");
//   auto fit = local.send<&train>();          // ships this very program, runs `train` in a worker
//   auto two = local.send<[](int x) { return 2 * x; }>();
//   fit(3);   fit.publish("team/train@dev", "first try");

#include <berth/client.hpp>
#include <berth/error.hpp>
#include <berth/function.hpp>
#include <berth/module.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace berth {

namespace detail {

/// What a program published of itself.
struct sent_version {
  std::string name;
  std::uint32_t version = 0;
  std::string manifest;
};

/// Ships the image that holds `thunk` and publishes the sent function under a name of its own.
[[nodiscard]] BERTH_API sent_version send_function(const connection& over, const void* thunk);
BERTH_API published_version publish_sent(const connection& over,
                                         const sent_version& what,
                                         std::string_view ref,
                                         std::string_view why,
                                         std::uint32_t replicas);

/// The plain function type of a function pointer or of a captureless lambda.
template <class F>
struct sendable {
  using type = typename function_type<decltype(+std::declval<F>())>::plain;
};

template <class R, class... Ps>
struct sendable<R (*)(Ps...)> {
  using type = R(Ps...);
};

template <class R, class... Ps>
struct sendable<R (*)(Ps...) noexcept> {
  using type = R(Ps...);
};

}  // namespace detail

/// The handle of a sent function: a function handle that can be kept under a name. A value.
template <class F>
class sent : public function<F> {
 public:
  sent(function<F> calls, connection over, detail::sent_version what)
      : function<F>(std::move(calls)), over_(std::move(over)), what_(std::move(what)) {}

  /// Publishes what was sent as a version of "name", starts `replicas` workers of it and moves "@tag" to it. Throws
  /// `berth::error`.
  published_version publish(std::string_view ref,
                            std::string_view why,
                            std::uint32_t replicas = 1) const {
    return detail::publish_sent(over_, what_, ref, why, replicas);
  }

 private:
  connection over_;
  detail::sent_version what_;
};

/// A cluster by name. A value.
class place {
 public:
  explicit place(connection over) : over_(std::move(over)) {}

  /// Ships the running program's own code, starts a worker of it and binds to it. `F` is a function or a captureless
  /// lambda, without bound arguments. The program must be linked with a build id (compilers' default). Throws `invalid`
  /// when its image cannot be told apart, and what publishing says.
  template <auto F>
  [[nodiscard]] auto send() const {
    using type = typename detail::sendable<std::remove_const_t<decltype(F)>>::type;
    auto what = detail::send_function(over_, detail::sent_thunk<F>());
    auto calls = over_.template function<type>(what.name + "@" + std::to_string(what.version));
    return sent<type>(std::move(calls), over_, std::move(what));
  }

 private:
  connection over_;
};

}  // namespace berth
