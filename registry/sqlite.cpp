#include "registry/sqlite.hpp"

#include <fmt/format.h>
#include <utility>

namespace berth::registry::sqlite {

error_info problem(sqlite3* db, std::string_view doing) {
  int code = sqlite3_errcode(db) & 0xff;
  if (code == SQLITE_FULL)
    return fail(
        kind::overloaded, "storage_full",
        fmt::format(
            "{}: the disk that holds the names is full; free space and retry, reading goes on",
            doing));
  return fail(kind::failed, "sqlite", fmt::format("{}: {}", doing, sqlite3_errmsg(db)));
}

result<database> database::open(const std::filesystem::path& path) {
  sqlite3* raw = nullptr;
  int code =
      sqlite3_open_v2(path.c_str(), &raw,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  database db(raw);
  if (code != SQLITE_OK) return problem(raw, "opening " + path.string());
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_timeout(raw, 2000);
  return db;
}

database::database(database&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}

database& database::operator=(database&& other) noexcept {
  std::swap(db_, other.db_);
  return *this;
}

database::~database() {
  sqlite3_close(db_);
}

result<void> database::run(const char* sql) {
  if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK)
    return problem(db_, "running a statement on the names database");
  return {};
}

result<std::int64_t> database::number(const char* sql) {
  auto query = statement::prepare(*this, sql);
  if (!query) return std::move(query).error();
  auto row = query->step();
  if (!row) return std::move(row).error();
  if (!*row) return fail(kind::failed, "sqlite", "a query of one number returned none");
  return query->number(0);
}

result<statement> statement::prepare(database& db, const char* sql) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v2(db.handle(), sql, -1, &raw, nullptr) != SQLITE_OK)
    return problem(db.handle(), "preparing a statement of the names database");
  return statement(raw);
}

statement::statement(statement&& other) noexcept
    : statement_(std::exchange(other.statement_, nullptr)), next_(other.next_) {}

statement& statement::operator=(statement&& other) noexcept {
  std::swap(statement_, other.statement_);
  std::swap(next_, other.next_);
  return *this;
}

statement::~statement() {
  sqlite3_finalize(statement_);
}

statement& statement::bind(std::int64_t number) {
  sqlite3_bind_int64(statement_, next_++, number);
  return *this;
}

statement& statement::bind(std::string_view text) {
  sqlite3_bind_text64(statement_, next_++, text.empty() ? "" : text.data(), text.size(),
                      SQLITE_STATIC, SQLITE_UTF8);
  return *this;
}

statement& statement::bind(std::span<const std::byte> bytes) {
  sqlite3_bind_blob64(statement_, next_++,
                      bytes.empty() ? "" : reinterpret_cast<const char*>(bytes.data()),
                      bytes.size(), SQLITE_STATIC);
  return *this;
}

result<bool> statement::step() {
  int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return problem(sqlite3_db_handle(statement_), "reading or writing the names database");
}

result<void> statement::finish() {
  auto more = step();
  while (more && *more)
    more = step();
  sqlite3_reset(statement_);
  next_ = 1;
  if (!more) return std::move(more).error();
  return {};
}

std::int64_t statement::number(int column) const {
  return sqlite3_column_int64(statement_, column);
}

std::string statement::text(int column) const {
  const auto* from = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return from
             ? std::string(from, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)))
             : std::string();
}

std::span<const std::byte> statement::bytes(int column) const {
  const auto* from = static_cast<const std::byte*>(sqlite3_column_blob(statement_, column));
  return {from, from ? static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)) : 0};
}

}  // namespace berth::registry::sqlite
