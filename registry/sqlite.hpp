#pragma once
// SQLite, as thin as it can be: a connection and a statement that own what they hold, and errors as ours.

#include <berth/error.hpp>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <sqlite3.h>
#include <string>
#include <string_view>

namespace berth::registry::sqlite {

/// SQLite's own reason as an `error_info`: `overloaded` (storage_full) when the disk is full, else `failed` (sqlite).
[[nodiscard]] error_info problem(sqlite3* db, std::string_view doing);

/// One connection. One thread at a time.
class database {
 public:
  /// Opens or makes the file. Errors: `failed` with SQLite's reason and the path.
  [[nodiscard]] static result<database> open(const std::filesystem::path& path);
  database(database&& other) noexcept;
  database& operator=(database&& other) noexcept;
  ~database();

  /// Runs statements that return no rows of interest.
  [[nodiscard]] result<void> run(const char* sql);
  /// The single number a query returns. Errors: `failed` when it returns none.
  [[nodiscard]] result<std::int64_t> number(const char* sql);

  [[nodiscard]] sqlite3* handle() const { return db_; }

 private:
  explicit database(sqlite3* db) : db_(db) {}

  sqlite3* db_ = nullptr;
};

/// A prepared statement. Parameters are bound by position, so no text of a stranger ever becomes SQL.
class statement {
 public:
  [[nodiscard]] static result<statement> prepare(database& db, const char* sql);
  statement(statement&& other) noexcept;
  statement& operator=(statement&& other) noexcept;
  ~statement();

  /// Binds the next parameter; the bytes must live until `finish` or `step` returned its last row.
  statement& bind(std::int64_t number);
  statement& bind(std::string_view text);
  statement& bind(std::span<const std::byte> bytes);

  /// Advances to the next row; false at the end.
  [[nodiscard]] result<bool> step();
  /// Runs to the end and makes the statement ready for the next use.
  [[nodiscard]] result<void> finish();

  [[nodiscard]] std::int64_t number(int column) const;
  [[nodiscard]] std::string text(int column) const;
  [[nodiscard]] std::span<const std::byte> bytes(int column) const;

 private:
  explicit statement(sqlite3_stmt* s) : statement_(s) {}

  sqlite3_stmt* statement_ = nullptr;
  int next_ = 1;
};

}  // namespace berth::registry::sqlite
