#include "runtime/worker/binding.hpp"

#include <utility>

namespace berth::worker {
namespace {

std::string methods_of(const replica& serves) {
  std::string names;
  for (const auto& one : serves.methods)
    names += (names.empty() ? "" : ", ") + one.shown().method;
  return names;
}

}  // namespace

result<binding> agree(const replica& serves, const net::bind_request& from) {
  binding made;
  made.what = serves.find(from.method);
  made.tag_slot = from.tag_slot;
  if (made.what == nullptr) {
    const auto asked =
        from.method.empty() ? "needs a method: name.method" : "has no method " + from.method;
    return fail(kind::missing, "no_such_method",
                serves.label() + " " + asked + "; it has " + methods_of(serves));
  }
  if (from.signature.empty()) {
    made.as = binding::form::self_describing;
    return made;
  }
  auto caller = decode_signature(from.signature);
  if (!caller) return std::move(caller).error().at("while binding " + from.ref);
  caller->method = made.what->shown().method;
  const auto fits = answers(*caller, made.what->shown());
  if (!fits) return error_info(fits.error()).at("while binding " + from.ref);
  if (*fits == fit::evolved) {
    made.as = binding::form::evolved;
    made.caller = *std::move(caller);
  }
  return made;
}

}  // namespace berth::worker
