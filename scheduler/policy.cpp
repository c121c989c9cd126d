#include "scheduler/policy.hpp"

#include "scheduler/fgd_policy.hpp"
#include "scheduler/fill_policy.hpp"
#include "scheduler/simple_policies.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace berth::sched {

const std::vector<std::string_view>& policy_names() {
  static const std::vector<std::string_view> names{"fill", "fgd",     "bestfit", "dotprod",
                                                   "pack", "cluster", "random",  "spread"};
  return names;
}

result<std::unique_ptr<policy>> make_policy(std::string_view name, const policy_options& options) {
  if (name == "fill") return make_fill_policy(options);
  if (name == "fgd") return make_fgd_policy(options);
  if (auto simple = make_simple_policy(name, options)) return simple;
  return fail(kind::missing, "no_such_policy",
              fmt::format("there is no policy \"{}\"; the policies are {}", name,
                          fmt::join(policy_names(), ", ")));
}

}  // namespace berth::sched
