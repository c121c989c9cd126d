#include "runtime/module/elf.hpp"

#include "runtime/module/file_mapping.hpp"

#include <algorithm>
#include <cstring>
#include <elf.h>
#include <optional>
#include <string_view>

namespace berth::module {

namespace {

// Far above what linkers make; a file beyond them is damaged or hostile.
constexpr std::size_t segments_max = 256;
constexpr std::size_t dynamic_entries_max = 4096;
constexpr std::size_t notes_max = 4096;
constexpr std::size_t names_max = 512;
constexpr std::size_t name_bytes_max = 4096;

#if defined(__x86_64__)
constexpr Elf64_Half own_machine = EM_X86_64;
#elif defined(__aarch64__)
constexpr Elf64_Half own_machine = EM_AARCH64;
#else
#error "berth knows the machine names of x86-64 and aarch64"
#endif

std::string machine_name(Elf64_Half machine) {
  switch (machine) {
    case EM_X86_64:
      return "x86-64";
    case EM_AARCH64:
      return "aarch64";
    case EM_386:
      return "i386";
    case EM_ARM:
      return "arm";
    case EM_RISCV:
      return "riscv";
    case EM_PPC64:
      return "ppc64";
    case EM_S390:
      return "s390";
    default:
      return "machine " + std::to_string(machine);
  }
}

error_info truncated(const char* where) {
  return fail(kind::invalid, "truncated",
              std::string("the module's file is truncated or damaged: its ") + where
                  + " lies beyond the end; copy or build it again");
}

/// The bytes with a bounds check before every look.
class image_reader {
 public:
  explicit image_reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <class T>
  [[nodiscard]] std::optional<T> at(std::uint64_t offset) const {
    if (!holds(offset, sizeof(T))) return std::nullopt;
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof(T));
    return value;
  }

  [[nodiscard]] bool holds(std::uint64_t offset, std::uint64_t size) const {
    return offset <= bytes_.size() && size <= bytes_.size() - offset;
  }

  [[nodiscard]] std::span<const std::byte> slice(std::uint64_t offset, std::uint64_t size) const {
    return bytes_.subspan(offset, size);
  }

  /// Terminated text within [offset, end).
  [[nodiscard]] std::optional<std::string> text(std::uint64_t offset, std::uint64_t end) const {
    if (offset >= end || !holds(offset, end - offset)) return std::nullopt;
    const auto* from = reinterpret_cast<const char*>(bytes_.data() + offset);
    const auto room = std::min<std::uint64_t>(end - offset, name_bytes_max);
    const auto* stop = static_cast<const char*>(std::memchr(from, 0, room));
    if (!stop) return std::nullopt;
    return std::string(from, stop);
  }

 private:
  std::span<const std::byte> bytes_;
};

class elf_parser {
 public:
  explicit elf_parser(std::span<const std::byte> bytes) : image_(bytes) {}

  result<elf_summary> run() {
    if (auto ok = header(); !ok) return std::move(ok.error());
    if (auto ok = segments(); !ok) return std::move(ok.error());
    if (auto ok = dynamic(); !ok) return std::move(ok.error());
    for (const auto& one : segments_)
      if (one.p_type == PT_NOTE) notes(one);
    return std::move(summary_);
  }

 private:
  result<void> header() {
    const auto magic = image_.at<std::array<char, SELFMAG>>(0);
    if (!magic || std::memcmp(magic->data(), ELFMAG, SELFMAG) != 0)
      return fail(
          kind::invalid, "not_elf",
          "this is no shared object (no ELF header): give a .so, a source file or a build target");
    const auto head = image_.at<Elf64_Ehdr>(0);
    if (!head) return truncated("header");
    if (head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_ident[EI_DATA] != ELFDATA2LSB)
      return fail(kind::invalid, "wrong_elf", "the module is not a 64-bit little-endian ELF file");
    if (head->e_machine != own_machine)
      return fail(kind::invalid, "wrong_machine",
                  "the module was built for " + machine_name(head->e_machine) + ", this machine is "
                      + machine_name(own_machine));
    if (head->e_type != ET_DYN)
      return fail(kind::invalid, "wrong_elf",
                  "the module is an object file or a static program: link it with -shared");
    if (head->e_phnum == 0 || head->e_phnum > segments_max
        || head->e_phentsize != sizeof(Elf64_Phdr))
      return truncated("segment table");
    // Linkers put the section table last, so it shows that the file is whole.
    if (head->e_shoff != 0
        && !image_.holds(head->e_shoff, std::uint64_t{head->e_shnum} * sizeof(Elf64_Shdr)))
      return truncated("section table");
    head_ = *head;
    return {};
  }

  result<void> segments() {
    for (std::uint64_t i = 0; i < head_.e_phnum; ++i) {
      if (!image_.holds(head_.e_phoff, (i + 1) * sizeof(Elf64_Phdr)))
        return truncated("segment table");
      const auto one = *image_.at<Elf64_Phdr>(head_.e_phoff + i * sizeof(Elf64_Phdr));
      const bool in_file =
          one.p_type == PT_LOAD || one.p_type == PT_DYNAMIC || one.p_type == PT_NOTE;
      if (in_file && !image_.holds(one.p_offset, one.p_filesz)) return truncated("segment");
      summary_.program = summary_.program || one.p_type == PT_INTERP;
      segments_.push_back(one);
    }
    return {};
  }

  // Where a virtual address lies in the file.
  [[nodiscard]] std::optional<std::uint64_t> offset_of(std::uint64_t address) const {
    for (const auto& one : segments_)
      if (one.p_type == PT_LOAD && address >= one.p_vaddr && address - one.p_vaddr < one.p_filesz)
        return one.p_offset + (address - one.p_vaddr);
    return std::nullopt;
  }

  result<void> dynamic() {
    const auto at = std::find_if(segments_.begin(), segments_.end(),
                                 [](const auto& one) { return one.p_type == PT_DYNAMIC; });
    if (at == segments_.end())
      return fail(kind::invalid, "wrong_elf",
                  "the module has no dynamic section: link it with -shared");
    std::vector<Elf64_Dyn> entries;
    for (std::uint64_t i = 0; i < at->p_filesz / sizeof(Elf64_Dyn) && i < dynamic_entries_max;
         ++i) {
      entries.push_back(*image_.at<Elf64_Dyn>(at->p_offset + i * sizeof(Elf64_Dyn)));
      if (entries.back().d_tag == DT_NULL) break;
    }
    std::optional<std::uint64_t> names;
    std::uint64_t names_size = 0;
    for (const auto& one : entries) {
      if (one.d_tag == DT_STRTAB) names = offset_of(one.d_un.d_ptr);
      if (one.d_tag == DT_STRSZ) names_size = one.d_un.d_val;
    }
    if (!names || !image_.holds(*names, names_size)) return truncated("string table");
    return name_entries(entries, *names, names_size);
  }

  result<void> name_entries(const std::vector<Elf64_Dyn>& entries,
                            std::uint64_t names,
                            std::uint64_t size) {
    std::string rpath;
    for (const auto& one : entries) {
      const auto tag = one.d_tag;
      if (tag != DT_NEEDED && tag != DT_SONAME && tag != DT_RUNPATH && tag != DT_RPATH) continue;
      if (one.d_un.d_val >= size) return truncated("string table");
      auto name = image_.text(names + one.d_un.d_val, names + size);
      if (!name) return truncated("string table");
      if (tag == DT_SONAME)
        summary_.soname = std::move(*name);
      else if (tag == DT_RUNPATH)
        summary_.runpath = std::move(*name);
      else if (tag == DT_RPATH)
        rpath = std::move(*name);
      else if (summary_.needed.size() < names_max)
        summary_.needed.push_back(std::move(*name));
      else
        return truncated("list of libraries");
    }
    if (summary_.runpath.empty()) summary_.runpath = std::move(rpath);
    return {};
  }

  // Linkers put notes of 4- and 8-byte alignment into one segment. Reading all by 4 is right for both: the only
  // 8-aligned ones, GNU properties, have sizes that are multiples of 8.
  void notes(const Elf64_Phdr& segment) {
    const auto round = [](std::uint64_t n) { return (n + 3) / 4 * 4; };
    std::uint64_t at = segment.p_offset;
    const std::uint64_t end = segment.p_offset + segment.p_filesz;
    for (std::size_t n = 0; end - at >= sizeof(Elf64_Nhdr) && n < notes_max; ++n) {
      const auto head = *image_.at<Elf64_Nhdr>(at);
      const std::uint64_t name = at + sizeof(Elf64_Nhdr);
      const std::uint64_t body = name + round(head.n_namesz);
      if (body > end || head.n_descsz > end - body) return;
      note(head,
           {reinterpret_cast<const char*>(image_.slice(name, head.n_namesz).data()), head.n_namesz},
           image_.slice(body, head.n_descsz));
      at = std::min(body + round(head.n_descsz), end);
    }
  }

  void note(const Elf64_Nhdr& head, std::string_view owner, std::span<const std::byte> body) {
    while (!owner.empty() && owner.back() == '\0')
      owner.remove_suffix(1);
    if (owner == "GNU" && head.n_type == NT_GNU_BUILD_ID && body.size() <= 64) {
      static constexpr char digits[] = "0123456789abcdef";
      summary_.build_id.clear();
      for (const auto b : body) {
        summary_.build_id += digits[std::to_integer<unsigned>(b) >> 4];
        summary_.build_id += digits[std::to_integer<unsigned>(b) & 15];
      }
    }
    if (owner == "berth" && head.n_type == abi::note_type && body.size() >= sizeof(std::uint32_t)) {
      // A later stamp may be longer or shorter; its first word says which it is.
      abi::stamp stamp;
      std::memcpy(&stamp, body.data(), std::min(body.size(), sizeof stamp));
      stamp.compiler[sizeof stamp.compiler - 1] = '\0';
      stamp.library[sizeof stamp.library - 1] = '\0';
      summary_.stamps.push_back(stamp);
    }
  }

  image_reader image_;
  Elf64_Ehdr head_{};
  std::vector<Elf64_Phdr> segments_;
  elf_summary summary_;
};

}  // namespace

result<elf_summary> read_elf(std::span<const std::byte> image) {
  return elf_parser(image).run();
}

result<elf_summary> read_elf_file(const std::filesystem::path& file) {
  auto bytes = file_mapping::of(file);
  if (!bytes) return std::move(bytes.error());
  auto summary = read_elf(bytes->bytes());
  if (!summary) return std::move(summary.error()).at("while reading " + file.string());
  return summary;
}

result<void> check_stamps(const elf_summary& summary, const std::string& what) {
  if (summary.stamps.empty())
    return fail(kind::invalid, "no_exports",
                what + " exports nothing to berth: include <berth/module.hpp> and add BERTH_EXPORT(&function);"
                       " or BERTH_CLASS(...)");
  const auto own = abi::own_stamp();
  for (const auto& one : summary.stamps) {
    if (one.abi != own.abi)
      return fail(kind::invalid, "other_abi",
                  what + " was built with berth's module ABI " + std::to_string(one.abi)
                      + ", this worker speaks " + std::to_string(own.abi)
                      + ": build it again with the installed headers");
    if (std::string_view(one.library) != own.library)
      return fail(kind::invalid, "other_library",
                  what + " was built with " + one.library + " (by " + one.compiler
                      + "), this worker runs " + own.library
                      + ": build it with the same C++ library");
  }
  return {};
}

}  // namespace berth::module
