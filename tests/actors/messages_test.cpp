// Every message type, there and back: through CAF's own serialiser, and through another process over loopback.

#include "actors/interfaces.hpp"
#include "actors/mesh.hpp"

#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>

#include <csignal>
#include <gtest/gtest.h>
#include <limits>
#include <netinet/in.h>
#include <random>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace berth::actors;

/// Fills any message with random content; an inspector as CAF's deserialiser is one.
class filler {
 public:
  using result_type = caf::error;
  static constexpr bool reads_state = false;
  static constexpr bool writes_state = true;

  explicit filler(std::mt19937& random) : random_(random) {}

  template <class... Ts>
  caf::error operator()(Ts&&... xs) {
    (fill(xs), ...);
    return {};
  }

 private:
  template <class T>
  void fill(T& x) {
    using plain = std::remove_const_t<T>;
    if constexpr (caf::meta::is_annotation<plain>::value) {
    } else if constexpr (std::is_same_v<plain, bool>) {
      x = random_() % 2;
    } else if constexpr (std::is_enum_v<plain>) {
      x = static_cast<plain>(1);
    } else if constexpr (std::is_same_v<plain, std::uint8_t>) {
      x = static_cast<std::uint8_t>(random_() % 4);  // also the alternative of a variant
    } else if constexpr (std::is_integral_v<plain>) {
      x = static_cast<plain>((std::uint64_t{random_()} << 32) | random_());
    } else if constexpr (std::is_same_v<plain, std::string>) {
      x.resize(random_() % 40);
      for (auto& c : x)
        c = static_cast<char>(random_());
    } else {
      fill_compound(x);
    }
  }

  template <class T>
  void fill_compound(std::vector<T>& x) {
    x.resize(random_() % 4);
    for (auto& one : x)
      fill(one);
  }

  template <class T>
  void fill_compound(std::optional<T>& x) {
    EXPECT_FALSE(caf::inspect(*this, x));
  }

  template <class... Ts>
  void fill_compound(std::variant<Ts...>& x) {
    EXPECT_FALSE(caf::inspect(*this, x));
  }

  template <class T>
  void fill_compound(T& x) {
    inspect(*this, x);
  }

  std::mt19937& random_;
};

template <class T>
std::vector<char> bytes_of(caf::actor_system& system, T& what) {
  std::vector<char> out;
  caf::binary_serializer sink(system, out);
  EXPECT_FALSE(sink(what));
  return out;
}

/// Calls `with` for a filled object of every registered type.
template <class With, std::size_t... Is>
void for_each_type(std::mt19937& random, const With& with, std::index_sequence<Is...>) {
  auto one = [&](auto id) {
    using type = typename caf::type_by_id<caf::id_block::berth::begin + id.value>::type;
    for (int i = 0; i < 8; ++i) {
      type what{};
      filler fill(random);
      fill(what);
      with(what);
    }
  };
  (one(std::integral_constant<std::size_t, Is>{}), ...);
}

template <class With>
void for_each_type(std::mt19937& random, const With& with) {
  for_each_type(
      random, with,
      std::make_index_sequence<caf::id_block::berth::end - caf::id_block::berth::begin>{});
}

struct seeded {
  unsigned seed = std::random_device{}();
  std::mt19937 random{seed};
};

TEST(messages, every_type_reads_back_what_was_written) {
  seeded s;
  SCOPED_TRACE("seed " + std::to_string(s.seed));
  system_config config(system_config::network::none);
  caf::actor_system system(config);
  int types = 0;
  for_each_type(s.random, [&](auto& what) {
    auto bytes = bytes_of(system, what);
    std::decay_t<decltype(what)> back{};
    caf::binary_deserializer source(system, bytes);
    ASSERT_FALSE(source(back)) << typeid(what).name();
    EXPECT_EQ(bytes_of(system, back), bytes) << typeid(what).name();
    EXPECT_LE(bytes.size(), message_bytes_max);
    ++types;
  });
  EXPECT_GE(types, 40 * 8);
}

TEST(messages, floating_point_crosses_bit_for_bit) {
  system_config config(system_config::network::none);
  caf::actor_system system(config);
  auto crosses = [&](auto number) {
    exact<decltype(number)> there(number), back;
    auto bytes = bytes_of(system, there);
    caf::binary_deserializer source(system, bytes);
    EXPECT_FALSE(source(back));
    EXPECT_TRUE(same(there, back)) << number;
  };
  for (double d :
       {0.0, -0.0, 1.5, std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN(),
        std::numeric_limits<double>::denorm_min(), std::numeric_limits<double>::max()})
    crosses(d);
  for (float f : {0.0f, -0.0f, std::numeric_limits<float>::infinity(),
                  -std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN(),
                  3e-40f, std::numeric_limits<float>::max()})
    crosses(f);
}

TEST(messages, a_truncated_message_is_an_error_and_costs_nothing) {
  seeded s;
  SCOPED_TRACE("seed " + std::to_string(s.seed));
  system_config config(system_config::network::none);
  caf::actor_system system(config);
  for_each_type(s.random, [&](auto& what) {
    auto bytes = bytes_of(system, what);
    if (bytes.empty()) return;
    bytes.resize(s.random() % bytes.size());
    std::decay_t<decltype(what)> back{};
    caf::binary_deserializer source(system, bytes);
    EXPECT_TRUE(source(back)) << typeid(what).name();
  });
}

/// A process that sends every message back; tells its port over `fd` and lives until the other end closes.
[[noreturn]] void reflect_until_closed(int out, int in) {
  {
    system_config config(system_config::network::loopback);
    caf::actor_system system(config);
    auto mirror = system.spawn([](caf::event_based_actor* self) {
      self->set_default_handler(caf::reflect);
      return caf::behavior{[self](stop_atom) { self->quit(); }};
    });
    auto port = mesh_port::open(system, caf::actor_cast<caf::strong_actor_ptr>(mirror), {});
    if (!port) ::_exit(2);
    auto number = (*port)->port();
    if (::write(out, &number, sizeof number) != sizeof number) ::_exit(3);
    char end = 0;
    while (::read(in, &end, 1) > 0) {
    }
    ::_exit(0);
  }
}

TEST(messages, every_type_crosses_to_another_process_and_back) {
  int to_child[2], from_child[2];
  ASSERT_EQ(::pipe(to_child), 0);
  ASSERT_EQ(::pipe(from_child), 0);
  pid_t child = ::fork();
  if (child == 0) {
    ::close(to_child[1]);
    ::close(from_child[0]);
    reflect_until_closed(from_child[1], to_child[0]);
  }
  ::close(to_child[0]);
  ::close(from_child[1]);
  std::uint16_t port = 0;
  ASSERT_EQ(::read(from_child[0], &port, sizeof port), static_cast<ssize_t>(sizeof port));
  seeded s;
  SCOPED_TRACE("seed " + std::to_string(s.seed));
  {
    system_config config(system_config::network::loopback);
    caf::actor_system system(config);
    auto mirror = mesh_connect(system, port, {}, std::chrono::seconds(5));
    ASSERT_TRUE(mirror) << mirror.error().to_string();
    auto there = caf::actor_cast<caf::actor>(*mirror);
    caf::scoped_actor self(system);
    int crossed = 0;
    for_each_type(s.random, [&](auto& what) {
      using type = std::decay_t<decltype(what)>;
      auto bytes = bytes_of(system, what);
      self->request(there, std::chrono::seconds(10), what)
          .receive(
              [&](type& back) {
                EXPECT_EQ(bytes_of(system, back), bytes) << typeid(what).name();
                ++crossed;
              },
              [&](const caf::error& why) {
                ADD_FAILURE() << typeid(what).name() << ": " << system.render(why);
              });
    });
    EXPECT_GE(crossed, 40 * 8);
  }
  ::close(to_child[1]);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  ::close(from_child[0]);
}

TEST(mesh, nobody_there_is_an_error_at_once_and_silence_one_at_the_deadline) {
  system_config config(system_config::network::loopback);
  caf::actor_system system(config);
  auto nobody = mesh_connect(system, 1, {}, std::chrono::seconds(5));
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().kind, berth::kind::disconnected);

  int silent = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  ASSERT_EQ(::bind(silent, reinterpret_cast<sockaddr*>(&at), size), 0);
  ASSERT_EQ(::listen(silent, 1), 0);
  ASSERT_EQ(::getsockname(silent, reinterpret_cast<sockaddr*>(&at), &size), 0);
  auto never = mesh_connect(system, ntohs(at.sin_port), {}, std::chrono::milliseconds(200));
  ASSERT_FALSE(never);
  EXPECT_EQ(never.error().kind, berth::kind::timed_out) << never.error().to_string();
  ::close(silent);
}

}  // namespace
