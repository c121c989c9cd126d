@0xb1d6c1f2a7e35c01;
# The first words on a link (docs/protocol.md, "Hello").
#
# Order: [preamble, on a node's port only] → hello (caller) → welcome (server) → frames. Each message is preceded by four
# bytes "BLH1" and its length as a little-endian u32; at most 4096 bytes, read before anything is allocated for them.
# A ring offer comes with three descriptors in the same sendmsg as the hello: memory file, bell of the caller, bell of the
# server. Nothing is sent by the caller between hello and welcome.
# Evolution: fields are only added; `protocol` grows when an old peer would misread frames.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("berth::wire");

struct Hello {
  protocol @0 :UInt32;
  # Both ends must say the same number.
  berthVersion @1 :Text;
  program @2 :Text;
  ringBytes @3 :UInt32;
  # Size of each offered ring; 0: none is offered, because of `noRingReason`.
  noRingReason @4 :Text;
}

struct Welcome {
  union {
    open :group {
      lane @0 :Lane;
      laneReason @1 :Text;
      # Why it is not the ring lane; empty on the ring lane.
      credits @2 :UInt32;
      # Calls the caller may have in flight.
    }
    refused :group {
      kind @3 :UInt8;
      code @4 :Text;
      message @5 :Text;
    }
  }
  protocol @6 :UInt32;
  berthVersion @7 :Text;
  program @8 :Text;
}

enum Lane {
  socket @0;
  ring @1;
}
