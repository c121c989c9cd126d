#pragma once
// Connections: a program's connection to a cluster.
//
//   auto rt = berth::connect();
//   auto f = rt.function<digit(std::span<const float>)>("digits/classify@prod");

#include <berth/call.hpp>
#include <berth/describe.hpp>
#include <berth/error.hpp>
#include <berth/function.hpp>
#include <berth/service.hpp>
#include <berth/tensor.hpp>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace berth {

class place;

/// One version's share of a split, in hundredths. `{7, 95}`: 95 % of the calls go to version 7.
struct share {
  std::uint32_t version = 0;
  double percent = 100;
};

/// What moving a tag did.
struct tag_moved {
  std::uint64_t revision = 0;
  double ms = 0;  ///< from the request to the moment from which no call starts on what left the tag
};

/// What publishing made.
struct published_version {
  std::string name;
  std::uint32_t version = 0;
  bool existed = false;  ///< the very same was published before
};

/// How to connect. A value.
struct connect_options {
  /// Where the cluster is: a runtime folder, "unix:PATH", or "127.0.0.1:PORT" (with `$BERTH_TOKEN_FILE`). Empty:
  /// `$BERTH_HEAD`, else the running cluster of this user, else an embedded cluster that ends with this program.
  std::string head = {};
  /// Calls without a routing key of their own are routed by this; empty: this process.
  std::string identity = {};
  /// An embedded cluster may be started when none runs.
  enum class embed : std::uint8_t { when_none_runs, never, always };
  embed embedded = embed::when_none_runs;
};

namespace detail {

class connection_core;

}  // namespace detail

/// A value: copies share one connection, which ends with the last of them and the handles made from them.
/// Threads: any. After `fork()` it refuses; connect again in the child.
class BERTH_API connection {
 public:
  /// The handle of the function behind `ref` ("name", "name@tag", "name@7", "name.method@tag"), bound with the signature
  /// `F`. Throws `missing` with the nearest name, `invalid` (signature_mismatch) with both signatures.
  template <class F>
  [[nodiscard]] berth::function<typename function_type<F>::plain> function(
      std::string_view ref) const {
    return {bind_callee(ref, {}, encode(signature_of<F>())), {}};
  }

  /// As above, with the type of a function that is known here; for functions without bound arguments.
  template <auto F>
  [[nodiscard]] auto function(std::string_view ref) const {
    return function<decltype(F)>(ref);
  }

  /// The handle of a replicated class.
  template <class C>
  [[nodiscard]] auto service(std::string_view ref) const {
    static_assert(detail::exported_class<C>,
                  "rt.service<C> needs BERTH_CLASS(C(…), methods…) in the namespace of C");
    using described = decltype(berth_service_of(static_cast<C*>(nullptr)));
    return described::template made<detail::method_handle>([&]<auto Method>(std::string_view name) {
      using handle = detail::method_handle<Method>;
      return handle(bind_callee(ref, name, encode(signature_of<Method>())), {});
    });
  }

  /// Fills a struct of `berth::function` members by their names: methods of the class `ref`, or, when that is no name,
  /// the functions below it.
  template <class Api>
  [[nodiscard]] Api bind(std::string_view ref) const {
    static_assert(is_reflectable<Api>(),
                  "rt.bind<Api> needs a plain struct of berth::function members");
    Api made;
    bind_members(made, ref, std::make_index_sequence<member_types<Api>::size>{});
    return made;
  }

  /// Moves a tag ("name@tag") to a split, with its reason. Acknowledged when no call can start on what left the tag.
  /// Throws `invalid` when a bound caller would break, naming it.
  tag_moved tag(std::string_view ref, const std::vector<share>& split, std::string_view why) const;
  /// Moves a tag back to where it pointed before, as a new change.
  tag_moved rollback(std::string_view ref, std::string_view why) const;

  /// The cluster called `name`; "local" is this machine's. Throws `missing` for another one.
  [[nodiscard]] place on(std::string_view name) const;

  /// A zeroed tensor in shared memory: it reaches a worker of this machine without a copy. Sending it freezes it.
  template <tensor_element T>
  [[nodiscard]] tensor<T> shared_tensor(const extents& sizes) const {
    auto any = any_tensor::over(detail::dtype_for<T>(), sizes, shared_memory(sizes, sizeof(T)));
    return std::move(tensor<T>::from(std::move(any).value())).value();
  }

  /// True when the cluster was started by `connect` and ends with this program.
  [[nodiscard]] bool embedded() const noexcept;
  /// Where the cluster's sockets are.
  [[nodiscard]] std::string runtime_folder() const;

  explicit connection(std::shared_ptr<detail::connection_core> core) noexcept
      : core_(std::move(core)) {}

  [[nodiscard]] const std::shared_ptr<detail::connection_core>& core() const noexcept {
    return core_;
  }

 private:
  [[nodiscard]] detail::callee_ref bind_callee(std::string_view ref,
                                               std::string_view method,
                                               std::string signature) const;
  [[nodiscard]] bool is_name(std::string_view ref) const;
  [[nodiscard]] std::shared_ptr<memory> shared_memory(const extents& sizes,
                                                      std::size_t element) const;

  template <class Api, std::size_t... I>
  void bind_members(Api& made, std::string_view ref, std::index_sequence<I...>) const {
    const bool methods = is_name(ref);
    visit_members(made, [&](auto&... members) {
      (bind_member(members, ref, member_name<Api, I>(), methods), ...);
    });
  }

  template <class Member>
  void bind_member(Member& member,
                   std::string_view ref,
                   std::string_view name,
                   bool methods) const {
    static_assert(detail::is_function_handle<Member>,
                  "every member of the struct is a berth::function");
    using type = typename detail::handle_signature<Member>::type;
    member = methods ? Member(bind_callee(ref, name, encode(signature_of<type>())), {})
                     : function<type>(std::string(ref) + "/" + std::string(name));
  }

  std::shared_ptr<detail::connection_core> core_;
};

/// Connects. Throws `disconnected` when what was named does not answer. With an embedded cluster one line on stderr says
/// so. Cost: below a millisecond to a running cluster, up to 150 ms for an embedded one.
[[nodiscard]] BERTH_API connection connect(const connect_options& how = {});

[[nodiscard]] inline connection connect(std::string_view head) {
  connect_options how;
  how.head = head;
  return connect(how);
}

}  // namespace berth
