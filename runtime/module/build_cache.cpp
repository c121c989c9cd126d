#include "runtime/module/build_cache.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::module {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view first_line = "berth-build 0";

// File times come from a clock that ticks up to 4 ms late (CONFIG_HZ=250); a file changed at the moment a build
// began can therefore look a little older than it.
constexpr std::int64_t tick_slack_ns = 10'000'000;

constexpr std::size_t dependencies_max = 100'000;

std::int64_t in_ns(const timespec& t) {
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

error_info cannot(const std::string& doing, const std::string& why) {
  return fail(kind::failed, "cache_failed", doing + ": " + why);
}

struct dependency {
  file_stamp stamp;
  store::digest content;
  std::string path;
};

struct record {
  store::digest artifact;
  std::vector<dependency> read;
};

std::optional<store::digest> digest_word(std::istream& in) {
  std::string hex;
  if (!(in >> hex)) return std::nullopt;
  const auto d = store::digest::from_hex(hex);
  if (!d) return std::nullopt;
  return *d;
}

std::optional<record> read_record(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  if (!std::getline(in, line) || line != first_line) return std::nullopt;
  const auto artifact = digest_word(in);
  if (!artifact) return std::nullopt;
  record r{*artifact, {}};
  dependency d;
  while (in >> d.stamp.bytes >> d.stamp.modified_ns >> d.stamp.changed_ns) {
    const auto content = digest_word(in);
    if (!content || in.get() != ' ' || !std::getline(in, d.path)) return std::nullopt;
    d.content = *content;
    r.read.push_back(d);
    if (r.read.size() > dependencies_max) return std::nullopt;
  }
  if (!in.eof()) return std::nullopt;
  return r;
}

bool unchanged(const dependency& d) {
  const auto now = stamp_of(d.path);
  if (!now || now->bytes != d.stamp.bytes) return false;
  if (*now == d.stamp) return true;
  const auto content = store::digest_of_file(d.path);
  return content.has_value() && *content == d.content;
}

// Nothing when something changed since the build began: its bytes may not be those that were read.
std::optional<std::string> record_text(const store::digest& artifact,
                                       const std::vector<fs::path>& read,
                                       std::int64_t began_ns) {
  std::ostringstream text;
  text << first_line << '\n' << artifact.hex() << '\n';
  for (const auto& one : read) {
    const auto stamp = stamp_of(one);
    const auto content = store::digest_of_file(one.string());
    if (!stamp || !content || one.string().find('\n') != std::string::npos) return std::nullopt;
    if (std::max(stamp->modified_ns, stamp->changed_ns) > began_ns - tick_slack_ns)
      return std::nullopt;
    text << stamp->bytes << ' ' << stamp->modified_ns << ' ' << stamp->changed_ns << ' '
         << content->hex() << ' ' << one.string() << '\n';
  }
  return text.str();
}

}  // namespace

std::optional<file_stamp> stamp_of(const fs::path& file) {
  struct stat s {};

  if (::stat(file.c_str(), &s) != 0 || !S_ISREG(s.st_mode)) return std::nullopt;
  return file_stamp{static_cast<std::uint64_t>(s.st_size), in_ns(s.st_mtim), in_ns(s.st_ctim)};
}

std::int64_t file_clock_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return in_ns(now);
}

fs::path build_cache::record_of(const store::digest& key) const {
  const auto hex = key.hex();
  return folder_ / "records" / hex.substr(0, 2) / hex;
}

std::optional<kept_build> build_cache::find(const store::digest& key) const {
  auto r = read_record(record_of(key));
  if (!r || !std::all_of(r->read.begin(), r->read.end(), unchanged)) return std::nullopt;
  kept_build kept{folder_ / "artifacts" / r->artifact.hex(), {}};
  const auto content = store::digest_of_file(kept.artifact.string());
  if (!content || *content != r->artifact) return std::nullopt;
  for (auto& one : r->read)
    kept.read.emplace_back(std::move(one.path));
  return kept;
}

result<fs::path> build_cache::add(const store::digest& key,
                                  const std::vector<fs::path>& read,
                                  const fs::path& made,
                                  std::int64_t began_ns) const {
  const auto content = store::digest_of_file(made.string());
  if (!content) return content.error();
  const auto artifact = folder_ / "artifacts" / content->hex();
  const auto record = record_of(key);
  std::error_code why;
  fs::create_directories(artifact.parent_path(), why);
  if (!why) fs::create_directories(record.parent_path(), why);
  if (!why) fs::rename(made, artifact, why);
  if (why) return cannot("keeping a build in " + folder_.string(), why.message());
  const auto text = record_text(*content, read, began_ns);
  if (!text) return artifact;
  const auto fresh = record.string() + ".new" + std::to_string(::getpid());
  std::ofstream(fresh, std::ios::binary) << *text;
  fs::rename(fresh, record, why);
  if (why) return cannot("recording a build in " + folder_.string(), why.message());
  return artifact;
}

result<fs::path> build_cache::scratch() const {
  std::error_code why;
  fs::create_directories(folder_ / "scratch", why);
  if (!why) fs::permissions(folder_, fs::perms::owner_all, why);
  if (why) return cannot("preparing " + folder_.string(), why.message());
  auto pattern = (folder_ / "scratch" / "XXXXXX").string();
  if (!::mkdtemp(pattern.data()))
    return cannot("making a folder in " + folder_.string(), std::strerror(errno));
  return fs::path(pattern);
}

std::vector<fs::path> read_dependencies(const fs::path& dependency_file,
                                        const fs::path& relative_to) {
  std::ifstream in(dependency_file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  std::vector<fs::path> files;
  std::string word;
  bool behind_target = false;
  const auto end_word = [&] {
    if (word.empty()) return;
    if (!behind_target && word.back() == ':')
      behind_target = true;
    else if (behind_target)
      files.push_back(fs::path(word).is_absolute() ? fs::path(word) : relative_to / word);
    word.clear();
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && i + 1 < text.size() && text[i + 1] == '\n')
      ++i, end_word();
    else if (c == '\\' && i + 1 < text.size() && (text[i + 1] == ' ' || text[i + 1] == '#'))
      word += text[++i];
    else if (c == '$' && i + 1 < text.size() && text[i + 1] == '$')
      word += text[++i];
    else if (c == '\n')
      end_word(), behind_target = false;
    else if (c == ' ' || c == '\t')
      end_word();
    else
      word += c;
  }
  end_word();
  return files;
}

}  // namespace berth::module
