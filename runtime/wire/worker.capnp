@0xce374f1be287857c;
# Node and worker. One packet socket (SOCK_SEQPACKET) that the worker inherits; one message a packet; descriptors travel
# beside the packet that speaks of them.
#
# Order: any number of moreBlobs, then one load; the worker answers ready or unfit, and ends after unfit. After ready the
# node hands clients' sockets over. drain is the last message to a worker: it finishes what runs, answers moved to what
# waits, says drained and ends with exit code 0.
#
# Lifetimes: everything ends with the socket. End of file at the worker: the node is gone, the worker ends.
# End of file at the node is not the worker's death: the supervisor tells that.
#
# Calls, gates, counters and logs do not travel here: they are in the worker page, the log ring and the links.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("berth::wire");

using Supervisor = import "supervisor.capnp";

struct PassedBlob {
  digest @0 :Text;       # SHA-256, 64 hex digits
  descriptor @1 :UInt32; # index among the packet's descriptors
}

struct ToWorker {
  union {
    load :group {
      name @0 :Text;
      version @1 :UInt32;
      digest @2 :Text;  # of the manifest
      manifest @3 :Text;
      worker @4 :Text;  # "worker:12"
      credits @5 :UInt32;
      healthMaxMs @6 :UInt32;
      blobs @7 :List(PassedBlob);
    }
    moreBlobs @8 :List(PassedBlob);
    handOver :group {
      # Descriptor 0 is the client's socket, its preamble read.
      user @9 :UInt32;
      pid @10 :Int64;
      peer @11 :Text;
    }
    drain @12 :UInt32;  # milliseconds
  }
}

struct FromWorker {
  union {
    ready :group {
      signatures @0 :Data;  # encoded signatures by method
      loadMs @1 :Float64;
      healthMs @2 :Float64;
    }
    unfit @3 :Supervisor.Fault;
    links @4 :UInt32;  # open now
    drained @5 :Void;
  }
}
