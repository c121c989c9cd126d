#include "runtime/value/message.hpp"

#include "runtime/wire/value.capnp.h"

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <cstring>
#include <unordered_set>

namespace berth {
namespace {

error_info bad_message(const std::string& why) {
  return fail(kind::invalid, "bad_message", "this value cannot be read: " + why);
}

kj::ArrayPtr<const kj::byte> pointed(const void* data, std::size_t size) {
  return {static_cast<const kj::byte*>(data), size};
}

capnp::Data::Reader as_data(std::string_view s) {
  return pointed(s.data(), s.size());
}

/// What one message may hold of anything that has a size: Cap'n Proto's own limit for one segment's blob.
constexpr std::uint64_t blob_bytes_max = (std::uint64_t{1} << 29) - 1;

class value_writer {
 public:
  void write(wire::Value::Builder to, const value& v, std::size_t depth) {
    if (depth > value_depth_max || ++nodes_ > value_nodes_max)
      throw error(fail(kind::invalid, "too_large",
                       "a value nests at most " + std::to_string(value_depth_max)
                           + " deep and holds at most " + std::to_string(value_nodes_max)
                           + " values"));
    if (const auto* b = v.get<bool>())
      to.setBool(*b);
    else if (const auto* i = v.get<std::int64_t>())
      to.setInt(*i);
    else if (const auto* u = v.get<std::uint64_t>())
      to.setUint(*u);
    else if (const auto* d = v.get<double>())
      to.setReal(*d);
    else if (const auto* s = v.get<std::string>())
      to.setText(as_data(sized(*s)));
    else if (const auto* raw = v.get<bytes>())
      to.setBytes(pointed(sized(*raw).data(), raw->size()));
    else if (const auto* l = v.get<value::list>())
      write_list(to.initList(static_cast<unsigned>(sized(*l).size())), *l, depth);
    else if (const auto* o = v.get<value::object>())
      write_object(to.initObject(static_cast<unsigned>(sized(*o).size())), *o, depth);
    else if (const auto* t = v.tensor())
      write_tensor(to.initTensor(), *t);
    else
      to.setNull();
  }

 private:
  template <class T>
  static const T& sized(const T& x) {
    if (x.size() > blob_bytes_max)
      throw error(fail(kind::invalid, "too_large",
                       "a message holds at most 512 MiB in one piece: send it as a hot call"));
    return x;
  }

  void write_list(capnp::List<wire::Value>::Builder to, const value::list& l, std::size_t depth) {
    for (unsigned i = 0; i < to.size(); ++i)
      write(to[i], l[i], depth + 1);
  }

  void write_object(capnp::List<wire::Member>::Builder to,
                    const value::object& o,
                    std::size_t depth) {
    for (unsigned i = 0; i < to.size(); ++i) {
      to[i].setName(as_data(sized(o[i].name)));
      write(to[i].initValue(), o[i].value, depth + 1);
    }
  }

  void write_tensor(wire::Tensor::Builder to, const any_tensor& t) {
    to.setDtype(static_cast<std::uint8_t>(t.type()));
    auto sizes = to.initExtents(static_cast<unsigned>(t.sizes().rank()));
    for (unsigned i = 0; i < sizes.size(); ++i)
      sizes.set(i, t.sizes()[i]);
    to.setData(pointed(sized(t.raw()).data(), t.raw().size()));
  }

  std::size_t nodes_ = 0;
};

class value_reader {
 public:
  value read(wire::Value::Reader from, std::size_t depth) {
    if (depth > value_depth_max) throw error(bad_message("it nests too deep"));
    if (++nodes_ > value_nodes_max) throw error(bad_message("it holds too many values"));
    switch (from.which()) {
      case wire::Value::NULL_:
        return {};
      case wire::Value::BOOL:
        return from.getBool();
      case wire::Value::INT:
        return from.getInt();
      case wire::Value::UINT:
        return from.getUint();
      case wire::Value::REAL:
        return from.getReal();
      case wire::Value::TEXT:
        return text(from.getText());
      case wire::Value::BYTES:
        return raw(from.getBytes());
      case wire::Value::LIST:
        return read_list(from.getList(), depth);
      case wire::Value::OBJECT:
        return read_object(from.getObject(), depth);
      case wire::Value::TENSOR:
        return read_tensor(from.getTensor());
    }
    throw error(bad_message("it is of a kind this version does not know"));
  }

 private:
  static std::string text(capnp::Data::Reader from) {
    return {reinterpret_cast<const char*>(from.begin()), from.size()};
  }

  static bytes raw(capnp::Data::Reader from) {
    const auto* begin = reinterpret_cast<const std::byte*>(from.begin());
    return {begin, begin + from.size()};
  }

  /// Lists of structs without content cost a stranger nothing: they count before they are walked.
  void expect(std::size_t more) const {
    if (more > value_nodes_max - nodes_) throw error(bad_message("it holds too many values"));
  }

  value read_list(capnp::List<wire::Value>::Reader from, std::size_t depth) {
    expect(from.size());
    value::list all;
    for (const auto one : from)
      all.push_back(read(one, depth + 1));
    return all;
  }

  value read_object(capnp::List<wire::Member>::Reader from, std::size_t depth) {
    expect(from.size());
    value::object all;
    std::unordered_set<std::string> seen;
    for (const auto one : from) {
      std::string name = text(one.getName());
      if (!seen.insert(name).second) throw error(bad_message("a name is given twice"));
      all.push_back({std::move(name), read(one.getValue(), depth + 1)});
    }
    return all;
  }

  static value read_tensor(wire::Tensor::Reader from) {
    const auto type = static_cast<dtype>(from.getDtype());
    const auto listed = from.getExtents();
    if (size_of(type) == 0 || listed.size() > extents::rank_max)
      throw error(bad_message("a tensor is broken"));
    std::vector<std::uint64_t> sizes;
    for (const auto one : listed)
      sizes.push_back(one);
    const extents e{std::span<const std::uint64_t>(sizes)};
    const auto data = from.getData();
    if (e.count() != data.size() / size_of(type) || data.size() % size_of(type) != 0)
      throw error(bad_message("a tensor's extents do not multiply to its data"));
    if (type == dtype::b8)
      for (const auto byte : data)
        if (byte > 1) throw error(bad_message("a tensor of bools holds something else"));
    any_tensor tensor(type, e);
    if (data.size() != 0) std::memcpy(tensor.edit().data(), data.begin(), data.size());
    return tensor;
  }

  std::size_t nodes_ = 0;
};

}  // namespace

result<bytes> value_to_message(const value& v) {
  capnp::MallocMessageBuilder message;
  try {
    value_writer().write(message.initRoot<wire::Value>(), v, 1);
  } catch (const error& e) {
    return e.info();
  }
  const auto words = capnp::messageToFlatArray(message);
  const auto flat = words.asBytes();
  const auto* begin = reinterpret_cast<const std::byte*>(flat.begin());
  return bytes(begin, begin + flat.size());
}

result<value> value_from_message(std::span<const std::byte> message) {
  constexpr std::size_t word = sizeof(capnp::word);
  if (message.empty() || message.size() % word != 0)
    return bad_message("its size is no multiple of 8");
  auto words = kj::heapArray<capnp::word>(message.size() / word);
  std::memcpy(words.asBytes().begin(), message.data(), message.size());
  capnp::ReaderOptions options;
  // Each word may be walked over a few times (lists are bounds-checked, then read), not again and again by pointers
  // that all lead to it.
  options.traversalLimitInWords = 4 * words.size() + 1024;
  options.nestingLimit = static_cast<int>(4 * value_depth_max);
  try {
    capnp::FlatArrayMessageReader reader(words, options);
    return value_reader().read(reader.getRoot<wire::Value>(), 1);
  } catch (const error& e) {
    return e.info();
  } catch (const kj::Exception& e) {
    return bad_message(e.getDescription().cStr());
  }
}

}  // namespace berth
