@0xa254dd6db052ad2f;
# Dynamic values: the self-describing form of arguments, results and control requests.
#
# Spoken by everybody: a shell that knows no signature sends one, a control request holds one, a version that answers
# an older caller builds one on the way. A value has no identity and no lifetime of its own; it lives as long as the
# message that holds it. What a C++ type looks like as a value is told in docs/protocol.md, "Values and JSON".
#
# Limits, held by every reader before it allocates: nesting 64, 4194304 values in one, each list counted against the
# bytes of the message. Evolution: new kinds are added at the end of the union; a reader that does not know one refuses
# the message as `invalid`.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("berth::wire");

struct Value {
  union {
    null @0 :Void;
    bool @1 :Bool;
    int @2 :Int64;
    uint @3 :UInt64;
    real @4 :Float64;      # any bit pattern; NaN and infinities as they are
    text @5 :Data;         # a C++ string: bytes, usually UTF-8
    bytes @6 :Data;
    list @7 :List(Value);
    object @8 :List(Member);
    tensor @9 :Tensor;
  }
}

struct Member {
  # Of an object; names are unique within it, order is kept.
  name @0 :Data;
  value @1 :Value;
}

struct Tensor {
  dtype @0 :UInt8;            # the numbers of berth::dtype
  extents @1 :List(UInt64);   # outermost first, at most 8
  data @2 :Data;              # row-major, little-endian; exactly the product of the extents times the element's size
}
