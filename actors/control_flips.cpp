// Verbs that change what stands behind a name: publish, tag, rollback, yank.
//
// A flip never meets a version that cannot answer: first every version of the new split is brought up (and its health
// hook passed), then the registry commits, then the gates close, and only then the caller hears of it.

#include "actors/control_core.hpp"
#include "registry/ref.hpp"
#include "runtime/module/manifest.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <random>

namespace berth::actors::control {
namespace {

/// From the request for a version's replicas to all of them ready: loading and constructing large models included.
constexpr std::uint32_t ready_ms_max = 90000;
/// Nodes are told a manifest in one message.
constexpr std::size_t manifest_bytes_max = message_bytes_max / 2;

std::vector<registry::part> parts_of(const std::vector<verbs::part>& from) {
  std::vector<registry::part> out;
  for (const auto& one : from)
    out.push_back({one.version, one.weight});
  return out;
}

std::vector<verbs::part> parts_of(const std::vector<registry::part>& from) {
  std::vector<verbs::part> out;
  for (const auto& one : from)
    out.push_back({one.version, one.weight});
  return out;
}

registry::request request_of(const asked& one, const std::string& why, const std::string& id) {
  registry::request out;
  out.id = id;
  out.who = to_string(one.who);
  out.why = why;
  return out;
}

void commit(const asked& one,
            registry::request what,
            std::function<void(registry::outcome&)> then) {
  step<registry::outcome>(one, one.data().registry, std::move(then), commit_atom_v,
                          std::move(what));
}

verbs::flipped flipped_of(const asked& one, const registry::outcome& out) {
  verbs::flipped told;
  told.revision = out.revision;
  told.ms = one.ms();
  for (const auto& flip : out.flips) {
    told.before.push_back({flip.name, flip.tag, parts_of(flip.before), flip.revision_before});
    told.after.push_back({flip.name, flip.tag, parts_of(flip.after), flip.revision});
  }
  return told;
}

// --- getting versions ready --------------------------------------------------------------------------------------------

struct to_prepare {
  std::string name;
  prepare what;
};

/// Brings up everything in `all`; `then` gets who is bound to the tags meanwhile, and the slowest readiness.
void make_ready(const asked& one, std::vector<to_prepare> all, std::function<void(prepared)> then) {
  struct gathering {
    std::size_t left;
    bool refused = false;
    prepared sum;
  };

  auto sum = std::make_shared<gathering>(gathering{all.size(), false, {}});
  if (all.empty()) return then({});
  for (auto& each : all)
    with_name(one, each.name, [one, sum, then, what = each.what](name_api actor) {
      step<prepared>(
          one, actor,
          [sum, then](prepared& part) {
            auto& out = sum->sum;
            out.bound.insert(out.bound.end(), part.bound.begin(), part.bound.end());
            out.ready.load_us = std::max(out.ready.load_us, part.ready.load_us);
            out.ready.health_us = std::max(out.ready.health_us, part.ready.health_us);
            if (--sum->left == 0) then(out);
          },
          prepare_atom_v, what);
    });
}

// --- tag ---------------------------------------------------------------------------------------------------------------

void tag(const asked& one, verbs::tag what) {
  registry::flip_request flip;
  flip.force = what.force;
  std::map<std::string, prepare> by_name;
  for (const auto& each : what.flips) {
    if (auto ok = registry::check_split(parts_of(each.split)); !ok)
      return one.refuse(std::move(ok).error());
    flip.flips.push_back({each.name, each.tag, parts_of(each.split), each.expect_revision});
    auto& ready = by_name[each.name];
    ready.wait_ms = ready_ms_max;
    ready.tags.push_back(each.tag);
    for (const auto& part : each.split)
      ready.versions.push_back(part.version);
  }
  std::vector<to_prepare> all;
  for (auto& [name, ready] : by_name)
    all.push_back({name, ready});
  make_ready(one, std::move(all), [one, flip, what](prepared ready) mutable {
    if (!one.wanted()) return;  // who asked has gone: nothing moves behind his back
    flip.bound = std::move(ready.bound);
    auto request = request_of(one, what.why, what.request_id);
    request.what = std::move(flip);
    commit(one, std::move(request),
           [one](registry::outcome& out) { one.reply(flipped_of(one, out)); });
  });
}

// --- rollback ----------------------------------------------------------------------------------------------------------

void roll_back_to(const asked& one,
                  const verbs::rollback& what,
                  const std::vector<verbs::part>& split) {
  prepare ready;
  ready.wait_ms = ready_ms_max;
  ready.tags.push_back(what.tag);
  for (const auto& part : split)
    ready.versions.push_back(part.version);
  make_ready(one, {{what.name, ready}}, [one, what](prepared ready_now) {
    if (!one.wanted()) return;  // who asked has gone: nothing moves behind his back
    auto request = request_of(one, what.why, what.request_id);
    request.what = registry::rollback_request{what.name, what.tag, what.to_revision,
                                              std::move(ready_now.bound), what.force};
    commit(one, std::move(request),
           [one](registry::outcome& out) { one.reply(flipped_of(one, out)); });
  });
}

void rollback(const asked& one, verbs::rollback what) {
  if (what.to_revision) {
    past_request past{what.name, what.tag, 0, what.to_revision};
    step<verbs::pointed>(
        one, one.data().registry,
        [one, what](verbs::pointed& then) { roll_back_to(one, what, then.split); }, past_atom_v,
        past);
    return;
  }
  step<verbs::changes>(
      one, one.data().registry,
      [one, what](verbs::changes& rows) {
        roll_back_to(one, what,
                     rows.rows.empty() ? std::vector<verbs::part>{} : rows.rows.front().before);
      },
      history_atom_v, what.name, what.tag, std::uint32_t{1});
}

// --- yank --------------------------------------------------------------------------------------------------------------

void yank(const asked& one, verbs::yank what) {
  auto request = request_of(one, what.why, what.request_id);
  request.what = registry::yank_request{what.name, what.version, what.undo};
  commit(one, std::move(request), [one, what](registry::outcome& out) {
    const char* word = out.existed ? "was already" : "is";
    one.reply(verbs::done{fmt::format(
        "{}@{} {} {} (revision {})", what.name, what.version, word,
        what.undo ? "resolvable again" : "yanked: only pinned refs reach it", out.revision)});
  });
}

// --- publish -----------------------------------------------------------------------------------------------------------

/// What a manifest says about its version. Errors: `invalid` when it cannot be one.
result<registry::publish_request> version_of(const verbs::publish& what,
                                             const module::manifest& manifest) {
  registry::publish_request out;
  out.name = what.name;
  out.kind = manifest.is_class ? registry::name_kind::service_class : registry::name_kind::function;
  auto& facts = out.facts;
  facts.digest = module::identity(what.manifest).hex();
  facts.manifest = what.manifest;
  facts.concurrency = manifest.concurrency;
  facts.commit = what.commit;
  facts.idempotent = !manifest.functions.empty();
  std::vector<signature> signatures;
  for (const auto& function : manifest.functions) {
    auto one = decode_signature(function.signature);
    if (!one) return std::move(one).error().at("in the signature of " + function.name);
    if (manifest.is_class) one->method = function.name;
    signatures.push_back(*std::move(one));
    facts.idempotent = facts.idempotent && function.idempotent;
  }
  if (signatures.empty())
    return fail(kind::invalid, "no_exports",
                "the module exports nothing that could be called; add BERTH_EXPORT(&f) to it");
  facts.signatures = encode(std::span<const signature>(signatures));
  return out;
}

result<void> check_held(const module::manifest& manifest, const store::blob_store& blobs) {
  std::vector<store::digest> wanted;
  for (const auto& blob : manifest.blobs())
    wanted.push_back(blob.digest);
  auto missing = blobs.missing(wanted);
  if (missing.empty()) return {};
  return fail(
      kind::missing, "content_missing",
      fmt::format("{} of the manifest's {} blobs are not held, the first is {}; upload them first",
                  missing.size(), wanted.size(), missing.front().hex()));
}

/// Moves `latest` and the wanted tag to the version that is ready now.
void move_tags(const asked& one,
               const verbs::publish& what,
               const registry::outcome& version,
               std::optional<std::uint64_t> tag_revision,
               prepared ready,
               const std::string& digest) {
  auto since = clock::now();
  registry::flip_request flip;
  flip.force = what.force;
  flip.bound = std::move(ready.bound);
  std::vector<registry::part> all{{version.version, registry::weight_total}};
  flip.flips.push_back({what.name, "latest", all, std::nullopt});
  if (!what.tag.empty() && what.tag != "latest")
    flip.flips.push_back({what.name, what.tag, all, tag_revision});
  auto request =
      request_of(one, what.why, what.request_id.empty() ? "" : what.request_id + "/flip");
  request.what = std::move(flip);
  auto told = ready.ready;
  commit(one, std::move(request),
         [one, what, version, told, since, digest](registry::outcome& out) {
           verbs::published done;
           done.name = what.name;
           done.version = version.version;
           done.digest = digest;
           done.existed = version.existed;
           done.revision = out.revision;
           done.health_ms = static_cast<double>(told.health_us) / 1000;
           done.flip_ms = std::chrono::duration<double, std::milli>(clock::now() - since).count();
           one.reply(done);
         });
}

/// The revision `tag` of `name` is at; 0 when there is no such tag. Publishing compares with it when it flips.
void with_tag_revision(const asked& one,
                       const std::string& name,
                       const std::string& tag,
                       std::function<void(std::optional<std::uint64_t>)> then) {
  if (tag.empty()) return then(std::nullopt);
  one.data().asks.ask<reply<verbs::described>>(
      one.self, one.data().registry,
      [then, tag](reply<verbs::described>& answer) {
        std::uint64_t revision = 0;
        for (const auto& row : answer.what.name.tags)
          if (row.tag == tag) revision = row.revision;
        then(revision);
      },
      one.refusing(), describe_atom_v, name);
}

void publish(const asked& one, verbs::publish what) {
  constexpr std::uint32_t replicas_max = 256;
  if (auto ok = registry::check_name(what.name); !ok) return one.refuse(std::move(ok).error());
  if (!what.tag.empty())
    if (auto ok = registry::check_tag(what.tag); !ok) return one.refuse(std::move(ok).error());
  if (what.replicas == 0 || what.replicas > replicas_max)
    return one.refuse(fail(kind::invalid, "bad_replicas",
                           fmt::format("a version has 1 to {} replicas", replicas_max)));
  if (what.manifest.size() > manifest_bytes_max)
    return one.refuse(fail(kind::invalid, "manifest_too_large",
                           fmt::format("a manifest has at most {} bytes", manifest_bytes_max)));
  auto manifest = module::parse(what.manifest);
  if (!manifest) return one.refuse(std::move(manifest).error());
  if (auto ok = check_held(*manifest, *one.data().services->blobs); !ok)
    return one.refuse(std::move(ok).error());
  auto version = version_of(what, *manifest);
  if (!version) return one.refuse(std::move(version).error());
  auto digest = version->facts.digest;
  auto request = request_of(one, what.why, what.request_id);
  request.what = *std::move(version);
  with_tag_revision(
      one, what.name, what.tag,
      [one, what, request, digest](std::optional<std::uint64_t> revision) {
        commit(one, request, [one, what, revision, digest](registry::outcome& made) {
          auto known = made;
          one.note(fmt::format("{}@{} {}, starting {} replica{}", what.name, known.version,
                               known.existed ? "is known" : "is new", what.replicas,
                               what.replicas == 1 ? "" : "s"));
          prepare ready{{known.version}, {"latest"}, what.replicas, ready_ms_max};
          if (!what.tag.empty()) ready.tags.push_back(what.tag);
          make_ready(one, {{what.name, ready}}, [one, what, known, revision, digest](prepared now) {
            if (!one.wanted()) return;
            one.note(fmt::format("{}@{} is ready, its health call took {:.1f} ms", what.name,
                                 known.version, static_cast<double>(now.ready.health_us) / 1000));
            move_tags(one, what, known, revision, std::move(now), digest);
          });
        });
      });
}

}  // namespace

void add_flipping_verbs(std::map<std::string, verb>& table) {
  table["publish"] = verb_of<verbs::publish>(publish);
  table["tag"] = verb_of<verbs::tag>(tag);
  table["rollback"] = verb_of<verbs::rollback>(rollback);
  table["yank"] = verb_of<verbs::yank>(yank);
}

}  // namespace berth::actors::control
