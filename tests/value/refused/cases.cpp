// Programs that must not compile. CASE picks one; the test reads what the compiler says (refused_test.cmake).
#include <berth/describe.hpp>
#include <berth/value.hpp>
#include <functional>
#include <map>
#include <memory>

struct holds_a_pointer {
  int id;
  int* where;
};

struct holds_it_deep {
  std::map<std::string, std::vector<holds_a_pointer>> all;
};

struct contains_itself {
  std::vector<contains_itself> children;
};

struct base_type {
  int a;
};

struct derived_type : base_type {
  int b;
};

class closed_type {
 public:
  explicit closed_type(int);

 private:
  [[maybe_unused]] int a_;
};

int main() {
#if CASE == 0
  (void)berth::signature_of<int(std::string, int)>();
#elif CASE == 1
  (void)berth::signature_of<int(holds_it_deep)>();
#elif CASE == 2
  (void)berth::signature_of<int(contains_itself)>();
#elif CASE == 3
  (void)berth::signature_of<int(derived_type)>();
#elif CASE == 4
  (void)berth::signature_of<int(const closed_type&)>();
#elif CASE == 5
  (void)berth::signature_of<int(std::span<float>)>();
#elif CASE == 6
  (void)berth::signature_of<int(std::vector<int>&)>();
#elif CASE == 7
  (void)berth::signature_of<std::string_view()>();
#elif CASE == 8
  (void)berth::signature_of<const int&()>();
#elif CASE == 9
  (void)berth::to_value(std::unique_ptr<int>());
#elif CASE == 10
  (void)berth::from_value<std::string_view>({});
#endif
}
