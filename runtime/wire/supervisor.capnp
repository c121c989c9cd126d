@0xf6620afac0159eed;
# Head and supervisor. One packet socket (SOCK_SEQPACKET) that the head inherits; one message a packet; descriptors
# travel beside the packet that speaks of them.
#
# Order: the supervisor speaks first (welcome). The head then starts workers and, when its cluster serves, says ready
# once. Requests have no answers of their own: `started`, `refused` and `ended` tell what became of a worker, in the
# order the supervisor acted. `stop` is the supervisor's last word: the head drains and ends itself.
#
# Lifetimes: a worker id is chosen by the head, is unique within the head's life, and is dead after `ended` or
# `refused`. End of file at the supervisor is the head's death: its workers are killed, what no head heard of is kept
# (at most 64) for the next welcome. End of file at the head is the supervisor's death: the head ends.
#
# Evolution: fields and union members are only added; an unknown union member is ignored by the supervisor and is an
# error at the head.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("berth::wire");

struct Fault {
  # An error_info: kind is the number of berth::kind.
  kind @0 :UInt8;
  code @1 :Text;
  message @2 :Text;
  trail @3 :List(Text);
  retryAfterMs @4 :UInt32;
}

struct Death {
  pid @0 :Int32;
  how @1 :Way;
  number @2 :Int32;  # exit code or signal
  core @3 :Bool;
  enum Way { unknown @0; exited @1; signalled @2; }
}

struct Ended {
  worker @0 :UInt64;
  how @1 :Death;
  asked @2 :Bool;  # the head had asked for its end
}

struct ToSupervisor {
  union {
    start :group {
      # The supervisor adds descriptor 3 (the lifeline) and BERTH_LIFELINE_FD.
      worker @0 :UInt64;
      argv @1 :List(Text);
      env @2 :List(Text);          # NAME=value, the whole environment
      cwd @3 :Text;                # empty: the supervisor's
      descriptors @4 :List(Text);  # one variable for each descriptor of the packet, told as its number
    }
    stop :group {
      # Closes the lifeline; kills the group after the grace.
      stopped @5 :UInt64;
      graceMs @6 :UInt32;
    }
    ready @7 :List(Fact);        # written into the running cluster's file
    shutDown @8 :UInt32;         # milliseconds to drain; answered by stop
  }
  struct Fact { key @0 :Text; value @1 :Text; }
}

struct FromSupervisor {
  union {
    welcome :group {
      incarnation @0 :UInt32;  # 1 for the first head
      supervisor @1 :Int32;    # pid
      earlier @2 :List(Ended);
    }
    started :group {
      worker @3 :UInt64;
      pid @4 :Int32;
    }
    refused :group {
      refusedWorker @5 :UInt64;
      why @6 :Fault;
    }
    ended @7 :Ended;
    stop @8 :UInt32;  # milliseconds to drain
  }
}
