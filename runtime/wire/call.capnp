@0xffc27d7466e6c57a;
# Calls: what caller and worker say over a link beside hot frames.
#
# A caller binds before it calls: request(Bind), answered by reply(Bound) or failure(Failure). The binding's number holds
# until the link ends; a later Bind of the same ref makes a new one. Calls then name the number, and their bodies are hot
# blocks of the signature the caller bound with; with an empty signature they are self-describing values.
#
# Body of a failure frame: Failure, whoever sends it and whatever it answers.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("berth::wire");

struct Failure {
  kind @0 :UInt8;      # berth::kind
  code @1 :Text;
  message @2 :Text;
  trail @3 :List(Text);
  retryAfterMs @4 :UInt32;
  detail @5 :Data;     # payload of a berth::failure, a self-contained hot block
  detailType @6 :Data; # its encoded shape
}

struct Bind {
  ref @0 :Text;        # as the caller wrote it; counters are kept by it
  tagSlot @1 :UInt32;  # gate of the tag in the worker page; 0 for pinned calls
  method @2 :Text;     # of a class; empty for a function
  signature @3 :Data;  # encoded signature of the caller; empty: self-describing calls
}

struct Bound {
  binding @0 :UInt32;
  link @1 :UInt64;      # id of this link in the worker's ledger
  version @2 :UInt32;   # number under the name
  signature @3 :Data;   # encoded signature of the version, bound arguments left out
  idempotent @4 :Bool;
}
