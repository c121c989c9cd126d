#include "runtime/module/image.hpp"

#include "runtime/module/exports.hpp"

#include <algorithm>
#include <cstring>
#include <elf.h>
#include <link.h>
#include <vector>

namespace berth::module {

namespace {

struct loaded_image {
  std::uint64_t base = 0;
  std::uint64_t first = 0;  // addresses it covers: [first, end)
  std::uint64_t end = 0;
  std::string path;
  std::string build_id;
};

std::string hex(const unsigned char* bytes, std::size_t count) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    text += digits[bytes[i] >> 4];
    text += digits[bytes[i] & 15];
  }
  return text;
}

// The notes of an image that runs: the loader has accepted them. All are read by 4, as in elf.cpp.
std::string build_id_in(const char* notes, std::size_t size) {
  const auto round = [](std::size_t n) { return (n + 3) / 4 * 4; };
  for (std::size_t at = 0; at + sizeof(Elf64_Nhdr) <= size;) {
    Elf64_Nhdr head;
    std::memcpy(&head, notes + at, sizeof head);
    const auto name = at + sizeof head;
    const auto body = name + round(head.n_namesz);
    if (body + head.n_descsz > size) break;
    if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4
        && std::memcmp(notes + name, "GNU", 4) == 0)
      return hex(reinterpret_cast<const unsigned char*>(notes + body), head.n_descsz);
    at = body + round(head.n_descsz);
  }
  return {};
}

int add_image(dl_phdr_info* info, std::size_t, void* to) {
  loaded_image image;
  image.base = info->dlpi_addr;
  image.first = ~std::uint64_t{0};
  image.path = info->dlpi_name ? info->dlpi_name : "";
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& segment = info->dlpi_phdr[i];
    const auto from = info->dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_LOAD) {
      image.first = std::min<std::uint64_t>(image.first, from);
      image.end = std::max<std::uint64_t>(image.end, from + segment.p_memsz);
    }
    if (segment.p_type == PT_NOTE && image.build_id.empty())
      image.build_id = build_id_in(reinterpret_cast<const char*>(from), segment.p_memsz);
  }
  static_cast<std::vector<loaded_image>*>(to)->push_back(std::move(image));
  return 0;
}

std::vector<loaded_image> loaded_images() {
  std::vector<loaded_image> all;
  ::dl_iterate_phdr(&add_image, &all);
  return all;
}

const loaded_image* image_of(const std::vector<loaded_image>& all, const void* address) {
  const auto at = reinterpret_cast<std::uint64_t>(address);
  const auto found = std::find_if(
      all.begin(), all.end(), [at](const auto& one) { return at >= one.first && at < one.end; });
  return found == all.end() ? nullptr : &*found;
}

std::string shown(const loaded_image& image) {
  return image.path.empty() ? "the program" : image.path;
}

result<void> check_unique(const std::vector<loaded_image>& all, const std::string& build_id) {
  const loaded_image* first = nullptr;
  for (const auto& one : all) {
    if (one.build_id != build_id) continue;
    if (first)
      return fail(kind::invalid, "twin_build_id",
                  shown(*first) + " and " + shown(one) + " both claim build id " + build_id
                      + ": link each with a build id of its own (-Wl,--build-id=sha1)");
    first = &one;
  }
  return {};
}

const void* thunk_of(const berth_export& sent) {
  const auto& function = sent.functions[0];
  return (function.flags & berth_flag_stream) != 0 ? reinterpret_cast<const void*>(function.open)
                                                   : reinterpret_cast<const void*>(function.invoke);
}

}  // namespace

result<image_place> place_of(const void* address) {
  const auto all = loaded_images();
  const auto* image = image_of(all, address);
  if (!image) return fail(kind::invalid, "no_image", "the function lies in no loaded image");
  if (image->build_id.empty())
    return fail(kind::invalid, "no_build_id",
                shown(*image) + " has no build id, by which its functions are known: link it with -Wl,--build-id=sha1");
  if (auto ok = check_unique(all, image->build_id); !ok) return std::move(ok.error());
  return image_place{image->build_id, reinterpret_cast<std::uint64_t>(address) - image->base,
                     image->path};
}

std::vector<std::string> changed_libraries(std::span<const system_library> expected) {
  std::vector<std::string> changed;
  for (const auto& image : loaded_images()) {
    const auto name = image.path.substr(image.path.rfind('/') + 1);
    for (const auto& one : expected)
      if (one.name == name && !one.build_id.empty() && !image.build_id.empty()
          && one.build_id != image.build_id)
        changed.push_back(image.path + " is not the one this version was shipped with (build id "
                          + image.build_id.substr(0, 12) + ", then " + one.build_id.substr(0, 12)
                          + "): ship it again to make what runs now a version of its own");
  }
  return changed;
}

result<const berth_export*> sent_export(const std::string& build_id, std::uint64_t offset) {
  const auto all = loaded_images();
  if (auto ok = check_unique(all, build_id); !ok) return std::move(ok.error());
  bool known = false;
  for (auto* exports : announced_images()) {
    const auto* image = image_of(all, exports);
    if (!image || image->build_id != build_id) continue;
    known = true;
    const auto* table = detail::table_of(*exports);
    for (std::uint32_t i = 0; i < table->export_count; ++i) {
      const auto& one = table->exports[i];
      if ((one.flags & berth_flag_sent) == 0) continue;
      if (reinterpret_cast<std::uint64_t>(thunk_of(one)) - image->base == offset) return &one;
    }
  }
  if (known)
    return fail(kind::missing, "no_such_function",
                "the program sent no function from offset " + std::to_string(offset)
                    + "; was it built anew since?");
  return fail(kind::missing, "no_such_image",
              "no part of this program has build id " + build_id
                  + ": it was built anew since the function was sent");
}

}  // namespace berth::module
