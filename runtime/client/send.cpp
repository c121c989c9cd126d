#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <berth/place.hpp>
#include <filesystem>
#include <utility>

#include "runtime/base/unique_fd.hpp"
#include "runtime/client/connection_core.hpp"
#include "runtime/client/upload.hpp"
#include "runtime/module/closure.hpp"
#include "runtime/module/image.hpp"
#include "runtime/module/manifest.hpp"
#include "runtime/store/digest.hpp"

namespace berth {
namespace {

// A program of some hundred megabytes is copied, hashed and started within this.
constexpr auto publish_wait = std::chrono::seconds(120);

std::string_view text_of(const berth_text& text) { return {text.data, text.size}; }

/// Everything of the image that has to run, and where its bytes lie.
struct packed_image {
  module::manifest what;
  std::vector<client::local_blob> blobs;
};

result<packed_image> pack(const void* thunk) {
  const auto place = module::place_of(thunk);
  if (!place) return place.error();
  if (!place->path.empty())
    return fail(kind::invalid, "not_the_program",
                "the function lies in " + place->path + ", a library: send functions of the program itself, or "
                "ship the library");
  const auto entry = module::sent_export(place->build_id, place->offset);
  if (!entry) return entry.error();
  const std::filesystem::path file = std::filesystem::read_symlink("/proc/self/exe");
  packed_image made;
  auto blob = client::local_blob::of_file("/proc/self/exe");
  if (!blob) return std::move(blob).error();
  made.what.module = blob->content;
  made.blobs.push_back(*std::move(blob));
  made.what.program = true;
  made.what.build_id = place->build_id;
  made.what.offset = place->offset;
  made.what.concurrency = (*entry)->concurrency;
  for (std::uint32_t i = 0; i < (*entry)->function_count; ++i) {
    const auto& one = (*entry)->functions[i];
    made.what.functions.push_back({std::string(text_of(one.name)), std::string(text_of(one.signature)),
                                   (one.flags & berth_flag_idempotent) != 0});
  }
  auto needs = module::find_closure(file, module::library_folders::of_this_machine());
  if (!needs) return std::move(needs).error();
  made.what.system = needs->system;
  for (const auto& one : needs->carried) {
    made.what.libraries.push_back(one.library);
    made.blobs.push_back({one.library.content, one.file.string()});
  }
  return made;
}

result<client::verbs::published> publish(const detail::connection_core& core, const std::string& name,
                                         const std::string& manifest, const std::string& tag,
                                         std::string_view why) {
  client::verbs::publish what;
  what.name = name;
  what.manifest = manifest;
  what.tag = tag;
  what.why = why;
  return core.head->ask<client::verbs::published>(what, publish_wait);
}

result<detail::sent_version> send(const detail::connection_core& core, const void* thunk) {
  auto image = pack(thunk);
  if (!image) return std::move(image).error();
  auto text = module::print(image->what);
  if (!text) return std::move(text).error();
  if (auto sent = client::upload_missing(*core.head, image->blobs); !sent) return std::move(sent).error();
  const auto name = "sent/" + image->what.build_id.substr(0, 16) + "/" + std::to_string(*image->what.offset);
  auto known = publish(core, name, *text, {}, "sent by a running program");
  if (!known) return std::move(known).error();
  return detail::sent_version{name, known->version, *std::move(text)};
}

}  // namespace

place connection::on(std::string_view name) const {
  if (name != "local")
    throw error(fail(kind::missing, "no_such_cluster",
                     "there is no cluster \"" + std::string(name) + "\" here; this machine's is \"local\""));
  return place(*this);
}

namespace detail {

sent_version send_function(const connection& over, const void* thunk) {
  return send(*over.core(), thunk).value();
}

published_version publish_sent(const connection& over, const sent_version& what, std::string_view ref,
                               std::string_view why) {
  const auto at = std::min(ref.find('@'), ref.size());
  const std::string name(ref.substr(0, at));
  const std::string tag(at == ref.size() ? std::string_view() : ref.substr(at + 1));
  const auto known = publish(*over.core(), name, what.manifest, tag, why).value();
  return {known.name, known.version, known.existed};
}

}  // namespace detail
}  // namespace berth
