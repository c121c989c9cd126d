#pragma once
// Splits as people write them: "@7" is version 7 alone, "@7:95,@8:5" is 95 % and 5 %.

#include "runtime/client/verbs.hpp"

#include <berth/error.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace berth::tools {

/// Parses the right side of TAG=SPLIT. Weights are percent with up to two decimals and add up to 100; "@" may be left
/// out. Errors: `invalid` that quotes the part and says what was expected.
result<std::vector<client::verbs::part>> parse_split(std::string_view text);

/// One flip of `name` from "prod=@7:95,@8:5" (or "prod=7").
result<client::verbs::flip> parse_flip(const std::string& name, std::string_view text);

/// "@7 95 %, @8 5 %", or "@7" alone.
[[nodiscard]] std::string split_text(const std::vector<client::verbs::part>& split);

}  // namespace berth::tools
