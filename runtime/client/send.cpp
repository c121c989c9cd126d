#include "runtime/client/connection_core.hpp"
#include "runtime/client/upload.hpp"
#include "runtime/module/assemble.hpp"

#include <algorithm>
#include <berth/place.hpp>
#include <utility>

namespace berth {
namespace {

// A program of some hundred megabytes is copied, hashed and started within this.
constexpr auto publish_wait = std::chrono::seconds(120);

result<client::verbs::published> publish(const detail::connection_core& core,
                                         const std::string& name,
                                         const std::string& manifest,
                                         const std::string& tag,
                                         std::string_view why,
                                         std::uint32_t replicas) {
  client::verbs::publish what;
  what.name = name;
  what.manifest = manifest;
  what.tag = tag;
  what.why = why;
  what.replicas = replicas;
  return core.head->ask<client::verbs::published>(what, publish_wait);
}

result<detail::sent_version> send(const detail::connection_core& core, const void* thunk) {
  auto image = module::assemble_sent(thunk);
  if (!image) return std::move(image).error();
  if (auto sent = client::upload_missing(*core.head, image->blobs); !sent)
    return std::move(sent).error();
  const auto name = "sent/" + image->manifest.build_id.substr(0, 16) + "/"
                    + std::to_string(*image->manifest.offset);
  auto known = publish(core, name, image->text, {}, "sent by a running program", 1);
  if (!known) return std::move(known).error();
  return detail::sent_version{name, known->version, std::move(image->text)};
}

}  // namespace

place connection::on(std::string_view name) const {
  if (name != "local")
    throw error(fail(
        kind::missing, "no_such_cluster",
        "there is no cluster \"" + std::string(name) + "\" here; this machine's is \"local\""));
  return place(*this);
}

namespace detail {

sent_version send_function(const connection& over, const void* thunk) {
  return send(*over.core(), thunk).value();
}

published_version publish_sent(const connection& over,
                               const sent_version& what,
                               std::string_view ref,
                               std::string_view why,
                               std::uint32_t replicas) {
  const auto at = std::min(ref.find('@'), ref.size());
  const std::string name(ref.substr(0, at));
  const std::string tag(at == ref.size() ? std::string_view() : ref.substr(at + 1));
  const auto known = publish(*over.core(), name, what.manifest, tag, why, replicas).value();
  return {known.name, known.version, known.existed};
}

}  // namespace detail
}  // namespace berth
