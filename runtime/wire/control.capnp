@0xf185de0e66e1a7c1;
# Control: verbs that programs and the command line ask of the head (runtime/client/verbs.hpp).
#
# A request frame carries Request. Its answer is one reply frame (the reply's aggregate, a self-describing value) or one
# failure frame (call.capnp). Pushes before it are item frames, each one aggregate; lines about the progress of a publish
# are log frames. A request that follows (resolve and logs with `follow`, watch) gets everything as items, its first
# answer too, and stays open until the client cancels it or the head has a reason to end it (failure).
# A cancel frame, or the link's end, lets go of everything the request held. Unknown verbs and unknown fields are
# answered by failure (invalid), so newer clients notice older heads.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("berth::wire");

struct Request {
  verb @0 :Text;  # the name of the verb's struct
  args @1 :Data;  # a self-describing value, one message of value.capnp
}
