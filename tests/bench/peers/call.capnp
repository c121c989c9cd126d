@0xd1f2c0ab52a6e3b7;
# The peer's interface: two numbers in, one out.
interface Adder {
  add @0 (a :Int32, b :Int32) -> (sum :Int32);
}
