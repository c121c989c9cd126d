// Dynamic values to hot blocks, led by the shape; every rule of what a person may write for a type is here.
#include "runtime/value/hot_scalars.hpp"
#include "runtime/value/text.hpp"

#include <algorithm>
#include <berth/codec.hpp>
#include <berth/value.hpp>
#include <cstring>

namespace berth {
namespace {

using detail::given;
using detail::place;
using detail::quoted;
using detail::refuse;
using detail::refuse_type;

bool is_nullable(const shape& s) {
  return s.form() == form::optional || s.form() == form::unit;
}

template <class T>
void store(std::byte* at, T x) {
  std::memcpy(at, &x, sizeof x);
}

class hot_encoder {
 public:
  hot_encoder(std::uint64_t fixed, const encode_options& options) : options_(options) {
    grow(fixed);
  }

  /// Writes `v` at offset `at` of the block, where all is zero.
  void put(const shape& s, std::uint64_t at, const value& v, const place& where) {
    switch (s.form()) {
      case form::unit:
        if (!v.is_null()) refuse_type(where, s, v);
        return;
      case form::text:
        return put_text(s, at, v, where);
      case form::bytes:
        return put_bytes(s, at, v, where);
      case form::list:
        return put_list(s, at, v, where);
      case form::map:
        return put_map(s, at, v, where);
      case form::array:
        return put_array(s, at, v, where);
      case form::optional:
        return put_optional(s, at, v, where);
      case form::variant:
        return put_variant(s, at, v, where);
      case form::tuple:
        return put_tuple(s, at, v, where);
      case form::record:
        return put_record(s, at, v, where);
      case form::enumeration:
        return detail::put_enumeration(s, this->at(at), v, where);
      case form::duration:
        return detail::put_duration(s, this->at(at), v, where);
      case form::time:
        return detail::put_time(s, this->at(at), v, where);
      case form::tensor:
        return put_tensor(s, at, v, where);
      default:
        return detail::put_scalar(s, s.form(), this->at(at), v, where);
    }
  }

  /// What `T{}` gives for a value that was left out.
  void put_default(const shape& s, std::uint64_t at, const place& where) {
    switch (s.form()) {
      case form::record: {
        std::uint64_t offset = 0;
        for (const auto& p : s.parts()) {
          offset = detail::align_up(offset, p.shape.align());
          put_preset(p, at + offset, where);
          offset += p.shape.bytes();
        }
        return;
      }
      case form::tuple: {
        std::uint64_t offset = 0;
        for (const auto& p : s.parts()) {
          offset = detail::align_up(offset, p.shape.align());
          put_default(p.shape, at + offset, where);
          offset += p.shape.bytes();
        }
        return;
      }
      case form::array:
        for (std::uint64_t i = 0; i < s.extent(); ++i)
          put_default(s.parts()[0].shape, at + i * s.parts()[0].shape.bytes(), where);
        return;
      case form::variant:
        return put_default(s.parts()[0].shape, at + s.align(), where);
      default:
        return;  // all zero
    }
  }

  hot_block take() {
    grow(detail::align_up(block_.size(), 8));
    return {std::move(block_), std::move(externals_)};
  }

 private:
  std::byte* at(std::uint64_t offset) { return block_.data() + offset; }

  void grow(std::uint64_t size) {
    if (size > codec::block_bytes_max) throw error(codec::check({size, 0}).error());
    block_.resize(size);
  }

  /// Appends a zeroed tail, refers to it from `ref`, and gives its offset.
  std::uint64_t tail(std::uint64_t ref,
                     std::uint64_t count,
                     std::uint64_t element,
                     std::uint64_t align) {
    if (count == 0) return 0;
    const std::uint64_t begin = detail::align_up(block_.size(), align);
    if (count > codec::block_bytes_max / element)
      throw error(codec::check({~std::uint64_t{0}, 0}).error());
    grow(begin + count * element);
    store(at(ref), static_cast<std::uint32_t>(begin));
    store(at(ref + 4), static_cast<std::uint32_t>(count));
    return begin;
  }

  void beside(std::uint64_t ref, std::uint64_t count, external payload) {
    const std::uint64_t record = tail(ref, 1, 16, 8);
    store(at(ref + 4), detail::external_mark);
    store(at(record), count);
    store(at(record + 8), static_cast<std::uint32_t>(externals_.size()));
    externals_.push_back(std::move(payload));
  }

  [[nodiscard]] bool stands_beside(std::uint64_t bytes) const {
    return !options_.inline_all && bytes >= codec::external_bytes_min;
  }

  void put_piece(std::uint64_t ref, const void* data, std::uint64_t size) {
    if (stands_beside(size)) {
      auto owner = heap_memory(size);
      std::memcpy(owner->data(), data, size);
      beside(ref, size, {owner->data(), size, owner});
    } else if (size != 0) {
      const std::uint64_t begin = tail(ref, size, 1, 1);
      std::memcpy(at(begin), data, size);
    }
  }

  // Tails.

  /// `{"base64": "…"}`, or bytes as they are.
  static std::optional<bytes> raw_bytes(const value& v, const place& where) {
    if (const auto* raw = v.get<bytes>()) return *raw;
    const auto* members = v.get<value::object>();
    if (!members || members->size() != 1 || members->front().name != "base64") return std::nullopt;
    const auto* text = members->front().value.get<std::string>();
    auto decoded = text ? detail::from_base64(*text) : std::nullopt;
    if (!decoded) refuse(where, "what stands under \"base64\" is no base64 text");
    return decoded;
  }

  void put_text(const shape& s, std::uint64_t ref, const value& v, const place& where) {
    if (const auto* text = v.get<std::string>()) return put_piece(ref, text->data(), text->size());
    const auto raw = raw_bytes(v, where);
    if (!raw) refuse_type(where, s, v);
    put_piece(ref, raw->data(), raw->size());
  }

  void put_bytes(const shape&, std::uint64_t ref, const value& v, const place& where) {
    const auto raw = raw_bytes(v, where);
    if (!raw) refuse(where, "expected {\"base64\": \"…\"} or a file (@path), got " + given(v));
    put_piece(ref, raw->data(), raw->size());
  }

  void put_list(const shape& s, std::uint64_t ref, const value& v, const place& where) {
    const auto* all = v.get<value::list>();
    if (!all) refuse_type(where, s, v);
    if (all->empty()) return;
    const shape& element = s.parts()[0].shape;
    const std::uint64_t before = block_.size();
    const std::uint64_t begin = tail(ref, all->size(), element.bytes(), element.align());
    for (std::uint64_t i = 0; i < all->size(); ++i)
      put(element, begin + i * element.bytes(), (*all)[i], {&where, {}, i});
    if (element.plain() && stands_beside(all->size() * element.bytes())) {
      auto owner = heap_memory(all->size() * element.bytes());
      std::memcpy(owner->data(), at(begin), owner->size());
      block_.resize(before);  // the record takes the place of the tail
      beside(ref, all->size(), {owner->data(), owner->size(), owner});
    }
  }

  void put_map(const shape& s, std::uint64_t ref, const value& v, const place& where) {
    const shape& key = s.parts()[0].shape;
    const shape& mapped = s.parts()[1].shape;
    const std::uint64_t second = detail::align_up(key.bytes(), mapped.align());
    const std::uint64_t align = std::max(key.align(), mapped.align());
    const std::uint64_t step = detail::align_up(second + mapped.bytes(), align);
    if (const auto* members = v.get<value::object>(); members && key.form() == form::text) {
      std::uint64_t begin = tail(ref, members->size(), step, align);
      for (const auto& m : *members) {
        put(key, begin, m.name, where);
        put(mapped, begin + second, m.value, {&where, m.name, 0});
        begin += step;
      }
      return;
    }
    const auto* pairs = v.get<value::list>();
    if (!pairs) refuse_type(where, s, v);
    std::uint64_t begin = tail(ref, pairs->size(), step, align);
    for (std::uint64_t i = 0; i < pairs->size(); ++i, begin += step) {
      const place here{&where, {}, i};
      const auto* pair = (*pairs)[i].get<value::list>();
      if (!pair || pair->size() != 2)
        refuse(here, "expected [key, value], got " + given((*pairs)[i]));
      put(key, begin, (*pair)[0], {&here, {}, 0});
      put(mapped, begin + second, (*pair)[1], {&here, {}, 1});
    }
  }

  void put_tensor(const shape& s, std::uint64_t offset, const value& v, const place& where) {
    const any_tensor* given_tensor = v.tensor();
    const any_tensor tensor = given_tensor ? *given_tensor : parse_tensor(s, v, where);
    if (tensor.type() != s.element())
      refuse(where, "expected " + to_string(s) + ", got a tensor of "
                        + std::string(to_string(tensor.type())));
    const auto sizes = tensor.sizes().sizes();
    const std::uint64_t begin = tail(offset, sizes.size(), 8, 8);
    if (!sizes.empty()) std::memcpy(at(begin), sizes.data(), sizes.size_bytes());
    const std::size_t one = size_of(tensor.type());
    if (tensor.type() != dtype::b8 && stands_beside(tensor.raw().size())) {
      beside(offset + 8, tensor.count(),
             {tensor.raw().data(), tensor.raw().size(), tensor.owner()});
      if (tensor.owner()->segment() >= 0) tensor.owner()->freeze();
    } else if (tensor.count() != 0) {
      const std::uint64_t data = tail(offset + 8, tensor.count(), one, one);
      std::memcpy(at(data), tensor.raw().data(), tensor.raw().size());
    }
  }

  /// `{"dtype": "f32", "shape": [2, 3], "data": [...]}`; data flat, or nested as the shape says.
  any_tensor parse_tensor(const shape& s, const value& v, const place& where) {
    const auto* type = v.find("dtype");
    const auto* sizes = v.find("shape");
    const auto* data = v.find("data");
    if (!type || !sizes || !data || v.get<value::object>()->size() != 3)
      refuse(where, "expected {\"dtype\": …, \"shape\": […], \"data\": […]}, got " + given(v));
    const auto* name = type->get<std::string>();
    if (!name || *name != to_string(s.element()))
      refuse({&where, "dtype", 0},
             "expected \"" + std::string(to_string(s.element())) + "\", got " + given(*type));
    const extents e = parse_extents(*sizes, {&where, "shape", 0});
    value::list flat;
    flatten(*data, 0, e, flat, {&where, "data", 0});
    if (e.count() != flat.size())
      refuse({&where, "data", 0}, "the shape asks for another number of elements than the "
                                      + std::to_string(flat.size()) + " given");
    return fill(s.element(), e, flat, {&where, "data", 0});
  }

  static extents parse_extents(const value& v, const place& where) {
    const auto* all = v.get<value::list>();
    if (!all || all->size() > extents::rank_max)
      refuse(where, "expected a list of at most " + std::to_string(extents::rank_max)
                        + " extents, got " + given(v));
    std::vector<std::uint64_t> sizes;
    for (const auto& one : *all)
      sizes.push_back(detail::extent_of(one, {&where, {}, sizes.size()}));
    return extents(std::span<const std::uint64_t>(sizes));
  }

  static void flatten(
      const value& v, std::size_t level, const extents& e, value::list& flat, const place& where) {
    const auto* all = v.get<value::list>();
    if (level > 0 && !all) return flat.push_back(v);
    if (!all) refuse(where, "expected a list, got " + given(v));
    if (level >= extents::rank_max) refuse(where, "lists nest deeper than the shape");
    for (std::uint64_t i = 0; i < all->size(); ++i)
      flatten((*all)[i], level + 1, e, flat, {&where, {}, i});
  }

  static form element_form(dtype d) {
    switch (d) {
      case dtype::b8:
        return form::boolean;
      case dtype::f32:
        return form::f32;
      case dtype::f64:
        return form::f64;
      default:
        return static_cast<form>(static_cast<unsigned>(d) - 2 + static_cast<unsigned>(form::i8));
    }
  }

  static any_tensor fill(dtype d, const extents& e, const value::list& flat, const place& where) {
    const shape element = shape::simple(element_form(d));
    any_tensor tensor(d, e);
    const auto to = tensor.edit();
    for (std::uint64_t i = 0; i < flat.size(); ++i)
      detail::put_scalar(element, element.form(), to.data() + i * element.bytes(), flat[i],
                         {&where, {}, i});
    return tensor;
  }

  // Compounds.

  void put_array(const shape& s, std::uint64_t offset, const value& v, const place& where) {
    const auto* all = v.get<value::list>();
    if (!all) refuse_type(where, s, v);
    if (all->size() != s.extent())
      refuse(where, "expected " + std::to_string(s.extent()) + " elements, got "
                        + std::to_string(all->size()));
    const shape& element = s.parts()[0].shape;
    for (std::uint64_t i = 0; i < all->size(); ++i)
      put(element, offset + i * element.bytes(), (*all)[i], {&where, {}, i});
  }

  void put_optional(const shape& s, std::uint64_t offset, const value& v, const place& where) {
    if (v.is_null()) return;
    const shape& inner = s.parts()[0].shape;
    *at(offset) = std::byte{1};
    if (!is_nullable(inner)) return put(inner, offset + s.align(), v, where);
    const auto* wrapped = v.get<value::list>();
    if (!wrapped || wrapped->size() != 1)
      refuse(where, "expected null or [value] (an optional of an optional), got " + given(v));
    put(inner, offset + s.align(), wrapped->front(), {&where, {}, 0});
  }

  void put_variant(const shape& s, std::uint64_t offset, const value& v, const place& where) {
    const auto* members = v.get<value::object>();
    std::string known;
    for (std::size_t i = 0; i < s.parts().size(); ++i) {
      const part& p = s.parts()[i];
      known += (known.empty() ? "" : ", ") + p.name;
      if (!members || members->size() != 1 || members->front().name != p.name) continue;
      *at(offset) = static_cast<std::byte>(i);
      return put(p.shape, offset + s.align(), members->front().value, {&where, p.name, 0});
    }
    refuse(where,
           "expected {\"type\": value} with one of the types " + known + ", got "
               + (members && members->size() == 1 ? quoted(members->front().name) : given(v)));
  }

  void put_tuple(const shape& s, std::uint64_t at_offset, const value& v, const place& where) {
    const auto* all = v.get<value::list>();
    if (!all) refuse_type(where, s, v);
    if (all->size() != s.parts().size())
      refuse(where, "expected " + std::to_string(s.parts().size()) + " elements, got "
                        + std::to_string(all->size()));
    std::uint64_t offset = 0;
    for (std::size_t i = 0; i < all->size(); ++i) {
      const shape& part = s.parts()[i].shape;
      offset = detail::align_up(offset, part.align());
      put(part, at_offset + offset, (*all)[i], {&where, {}, i});
      offset += part.bytes();
    }
  }

  void put_preset(const part& p, std::uint64_t offset, const place& where) {
    if (p.preset.empty()) return;
    const auto* begin = reinterpret_cast<const std::byte*>(p.preset.data());
    const bytes block(begin, begin + p.preset.size());
    const auto v = decode_hot(p.shape, {block, {}});
    if (!v) refuse({&where, p.name, 0}, "its default cannot be read: " + v.error().message);
    put(p.shape, offset, *v, {&where, p.name, 0});
  }

  void put_record(const shape& s, std::uint64_t at_offset, const value& v, const place& where) {
    const auto* members = v.get<value::object>();
    if (!members) refuse_type(where, s, v);
    const auto found = match(s.parts(), *members, where);
    std::size_t given_end = 0;
    for (std::size_t i = 0; i < found.size(); ++i)
      if (found[i]) given_end = i + 1;
    std::uint64_t offset = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      const part& p = s.parts()[i];
      offset = detail::align_up(offset, p.shape.align());
      const place here{&where, p.name, 0};
      if (found[i])
        put(p.shape, at_offset + offset, *found[i], here);
      else if (i >= given_end)
        put_preset(p, at_offset + offset, where);
      else if (p.shape.form() != form::optional)
        refuse(here, "missing: only trailing members and optionals may be left out");
      offset += p.shape.bytes();
    }
  }

  /// For each part the member of its name; unknown and doubled ones are refused or dropped.
  std::vector<const value*> match(std::span<const part> parts,
                                  const value::object& members,
                                  const place& where) {
    std::vector<const value*> found(parts.size());
    for (const auto& m : members) {
      const place here{&where, m.name, 0};
      const auto p = std::find_if(parts.begin(), parts.end(),
                                  [&](const part& one) { return one.name == m.name; });
      if (p == parts.end()) {
        if (options_.unknown == unknown_members::drop) continue;
        refuse(here, "unknown field" + known(parts));
      }
      auto& slot = found[static_cast<std::size_t>(p - parts.begin())];
      if (slot) refuse(here, "given twice");
      slot = &m.value;
    }
    return found;
  }

  static std::string known(std::span<const part> parts) {
    std::string text;
    for (const auto& p : parts)
      text += (text.empty() ? "; there are " : ", ") + p.name;
    return text.empty() ? "; there are none" : text;
  }

  encode_options options_;
  bytes block_;
  std::vector<external> externals_;
};

/// Values by parameter position; null where one was left out.
std::vector<const value*> by_position(const signature& sig,
                                      const value& arguments,
                                      const place& where) {
  std::vector<const parameter*> params;
  for (const auto& p : sig.params)
    if (p.flow == flow::single) params.push_back(&p);
  std::vector<const value*> found(params.size());
  if (const auto* all = arguments.get<value::list>()) {
    if (all->size() > params.size())
      refuse(where, std::to_string(all->size()) + " arguments for " + std::to_string(params.size())
                        + " parameters of " + to_string(sig));
    for (std::size_t i = 0; i < all->size(); ++i)
      found[i] = &(*all)[i];
  } else if (const auto* members = arguments.get<value::object>()) {
    for (const auto& m : *members) {
      const auto p = std::find_if(params.begin(), params.end(),
                                  [&](const parameter* one) { return one->name == m.name; });
      if (p == params.end()) refuse({&where, m.name, 0}, "no such parameter of " + to_string(sig));
      auto& slot = found[static_cast<std::size_t>(p - params.begin())];
      if (slot) refuse({&where, m.name, 0}, "given twice");
      slot = &m.value;
    }
  } else if (!arguments.is_null()) {
    refuse(where, "expected arguments as a list or an object, got " + given(arguments));
  }
  return found;
}

template <class F>
result<hot_block> guarded(F&& encode) {
  try {
    return encode();
  } catch (const error& e) {
    return e.info();
  }
}

}  // namespace

result<hot_block> encode_hot(const shape& shape, const value& v, const encode_options& options) {
  return guarded([&]() -> hot_block {
    if (shape.form() == form::unit && v.is_null()) return {};
    hot_encoder out(shape.bytes(), options);
    out.put(shape, 0, v, {});
    return out.take();
  });
}

result<hot_block> encode_hot(const signature& signature,
                             const value& arguments,
                             const encode_options& options) {
  return guarded([&]() -> hot_block {
    const place root;
    const auto found = by_position(signature, arguments, root);
    std::uint64_t end = 0;
    std::uint64_t align = 1;
    std::vector<std::pair<const parameter*, std::uint64_t>> params;
    for (const auto& p : signature.params) {
      if (p.flow == flow::stream) continue;
      const std::uint64_t at = detail::align_up(end, p.shape.align());
      params.emplace_back(&p, at);
      end = at + p.shape.bytes();
      align = std::max<std::uint64_t>(align, p.shape.align());
    }
    std::size_t given_end = 0;
    for (std::size_t i = 0; i < found.size(); ++i)
      if (found[i]) given_end = i + 1;
    hot_encoder out(detail::align_up(end, align), options);
    for (std::size_t i = 0; i < params.size(); ++i) {
      const auto& [p, at] = params[i];
      const place here{&root, p->name, 0};
      if (found[i])
        out.put(p->shape, at, *found[i], here);
      else if (i >= given_end)
        out.put_default(p->shape, at, here);
      else if (p->shape.form() != form::optional)
        refuse(here, "missing: only trailing parameters and optionals may be left out");
    }
    return out.take();
  });
}

}  // namespace berth
