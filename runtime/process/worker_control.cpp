#include "runtime/process/worker_control.hpp"

#include "runtime/process/packet_codec.hpp"
#include "runtime/wire/worker.capnp.h"

namespace berth::process {
namespace {

using std::chrono::milliseconds;
using blob_list = capnp::List<wire::PassedBlob>;

void put_blobs(blob_list::Builder to, const std::vector<passed_blob>& from) {
  for (unsigned n = 0; n < from.size(); ++n) {
    to[n].setDigest(from[n].digest.c_str());
    to[n].setDescriptor(from[n].descriptor);
  }
}

std::vector<passed_blob> blobs_from(blob_list::Reader from) {
  std::vector<passed_blob> all;
  all.reserve(from.size());
  for (const auto& one : from)
    all.push_back({text_from(one.getDigest()), one.getDescriptor()});
  return all;
}

void put(wire::ToWorker::Builder to, const load& from) {
  auto load = to.initLoad();
  load.setName(from.name.c_str());
  load.setVersion(from.version);
  load.setDigest(from.digest.c_str());
  load.setManifest(from.manifest.c_str());
  load.setWorker(from.worker.c_str());
  load.setCredits(from.credits);
  load.setHealthMaxMs(whole_ms(from.health_max));
  put_blobs(load.initBlobs(static_cast<unsigned>(from.blobs.size())), from.blobs);
}

void put(wire::ToWorker::Builder to, const more_blobs& from) {
  put_blobs(to.initMoreBlobs(static_cast<unsigned>(from.blobs.size())), from.blobs);
}

void put(wire::ToWorker::Builder to, const hand_over& from) {
  auto over = to.initHandOver();
  over.setUser(from.user);
  over.setPid(from.pid);
  over.setPeer(from.peer.c_str());
}

void put(wire::ToWorker::Builder to, const drain& from) {
  to.setDrain(whole_ms(from.patience));
}

void put(wire::FromWorker::Builder to, const worker_ready& from) {
  auto ready = to.initReady();
  ready.setSignatures(kj::arrayPtr(reinterpret_cast<const kj::byte*>(from.signatures.data()),
                                   from.signatures.size()));
  ready.setLoadMs(from.load_ms);
  ready.setHealthMs(from.health_ms);
}

void put(wire::FromWorker::Builder to, const worker_unfit& from) {
  put_fault(to.initUnfit(), from.why);
}

void put(wire::FromWorker::Builder to, const worker_links& from) {
  to.setLinks(from.open);
}

void put(wire::FromWorker::Builder to, const worker_drained&) {
  to.setDrained();
}

const auto write = [](auto root, const auto& one) { put(root, one); };

load load_from(wire::ToWorker::Load::Reader from) {
  return {text_from(from.getName()),           from.getVersion(),
          text_from(from.getDigest()),         text_from(from.getManifest()),
          text_from(from.getWorker()),         from.getCredits(),
          milliseconds(from.getHealthMaxMs()), blobs_from(from.getBlobs())};
}

worker_ready ready_from(wire::FromWorker::Ready::Reader from) {
  const auto signatures = from.getSignatures();
  return {std::string(signatures.begin(), signatures.end()), from.getLoadMs(), from.getHealthMs()};
}

}  // namespace

std::vector<std::byte> encode(const to_worker& message) {
  return packet_of<wire::ToWorker>(message, write);
}

std::vector<std::byte> encode(const from_worker& message) {
  return packet_of<wire::FromWorker>(message, write);
}

result<to_worker> decode_to_worker(std::span<const std::byte> bytes) {
  using root = wire::ToWorker;
  return from_packet<root>(bytes, [](root::Reader from) -> result<to_worker> {
    switch (from.which()) {
      case root::LOAD:
        return to_worker(load_from(from.getLoad()));
      case root::MORE_BLOBS:
        return to_worker(more_blobs{blobs_from(from.getMoreBlobs())});
      case root::HAND_OVER:
        return to_worker(hand_over{from.getHandOver().getUser(), from.getHandOver().getPid(),
                                   text_from(from.getHandOver().getPeer())});
      case root::DRAIN:
        return to_worker(drain{milliseconds(from.getDrain())});
    }
    return unknown_message();
  });
}

result<from_worker> decode_from_worker(std::span<const std::byte> bytes) {
  using root = wire::FromWorker;
  return from_packet<root>(bytes, [](root::Reader from) -> result<from_worker> {
    switch (from.which()) {
      case root::READY:
        return from_worker(ready_from(from.getReady()));
      case root::UNFIT:
        return from_worker(worker_unfit{fault_from(from.getUnfit())});
      case root::LINKS:
        return from_worker(worker_links{from.getLinks()});
      case root::DRAINED:
        return from_worker(worker_drained{});
    }
    return unknown_message();
  });
}

}  // namespace berth::process
