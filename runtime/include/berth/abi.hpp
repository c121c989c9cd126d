#pragma once
// The C boundary between a module and the process that hosts it.
//
// A module is compiled by whoever wrote it, with their compiler, flags and patch version of berth; the worker was
// compiled by us. So nothing but plain structs and function pointers crosses here: no exception, no std type, no
// ownership that the other side's allocator would have to end. One C entry, `berth_module_v0`, hands over the table
// of exports; everything else is reached from it. The version in the entry's name and in the ELF note
// (`.note.berth`) changes whenever a layout below changes. What a running function asks of its host
// (`berth::here()`) needs no table: modules and hosts link one libberth.
//
// Arguments and results are hot blocks (docs/protocol.md) of the signature the entry declares. Data of 64 KiB and
// more lies outside the block, as externals. A thunk decodes, calls, encodes; it never throws across this boundary.

#include <cstdint>

extern "C" {

/// Bytes or UTF-8 text of whoever made them; not terminated, borrowed for the call that passes it.
struct berth_text {
  const char* data;
  std::uint64_t size;
};

/// One payload outside the block. `owner`, when there is one, points to a `std::shared_ptr<berth::memory>` whose copy
/// keeps `data` alive; without one `data` is borrowed for the call that passes it. (It is the one C++ type that
/// crosses: both sides have it from the same libberth, and the stamp holds them to one C++ library.)
struct berth_external {
  const void* data;
  std::uint64_t size;
  const void* owner;
};

/// An encoded value as its reader sees it. The block is 8-aligned and private to the reader (copied before it is
/// looked at); externals may be shared memory, so lengths come from the block only.
struct berth_view {
  const void* block;
  std::uint64_t size;
  const berth_external* externals;
  std::uint32_t count;
  std::uint32_t reserved;
};

/// What a function or the codec said instead of a result. `kind` is a `berth::kind`.
struct berth_failure {
  std::uint8_t kind;
  std::uint8_t reserved[3];
  std::uint32_t retry_after_ms;
  berth_text code;
  berth_text message;
  berth_text trail;        ///< lines, separated by '\n'
  berth_text detail;       ///< encoded payload of a `berth::failure`; empty for none
  berth_text detail_type;  ///< its wire shape, printed
};

/// Takes one value or one failure from a thunk; made by the host, used on the thread that called the thunk.
struct berth_sink {
  void* context;
  /// Room for a block of `size` bytes (8-aligned, not cleared), which the thunk fills, and word of `externals` to come
  /// by `attach`. At most once a value; not at all for a value without bytes (void). Null: no room; the host has noted
  /// why and the thunk gives up.
  void* (*reserve)(void* context, std::uint64_t size, std::uint32_t externals);
  /// The externals of the block just filled, in order; only when there are any. The host copies them, or keeps their
  /// owners, before it returns. 0: it could not and has noted why.
  int (*attach)(void* context, const berth_external* externals, std::uint32_t count);
  /// Instead of, or after, a value; the host copies what it keeps.
  void (*fail)(void* context, const berth_failure* why);
};

/// A stream that the caller sends: one per stream parameter, in parameter order.
struct berth_source {
  void* context;
  /// Waits for the next item. 1: `*item` is valid until the next pull; 0: the stream has ended; -1: the link broke or
  /// the call was cancelled, said through `why` (valid until the next pull).
  int (*pull)(void* context, berth_view* item, berth_failure* why);
};

/// What one call brings. It stays valid until `invoke` returned, or for a stream until `close`: views into the frame
/// live as long as the function that was given them.
struct berth_call {
  const berth_view* arguments;
  const berth_source* sources;
  std::uint32_t source_count;
  std::uint32_t reserved;
};

/// One bound argument: a block that holds a single value of the parameter's shape. Valid until the replica ends.
struct berth_bound {
  std::uint32_t parameter;  ///< index in the full signature
  std::uint32_t reserved;
  berth_view value;
};

enum berth_flags : std::uint32_t {
  berth_flag_idempotent = 1,
  berth_flag_stream = 2,  ///< results come from open/next/close, `invoke` is null
  berth_flag_class = 4,   ///< on an export: `construct` and `destroy` are there
  berth_flag_sent = 8,    ///< has no symbol; found by the offset of its thunk
};

enum berth_outcome : int {
  berth_failed = -1,  ///< the sink heard why
  berth_ended = 0,    ///< of a stream
  berth_done = 1,     ///< the sink holds a value
};

/// A function or a method. `state` is what `bind` returned, or for a method the instance that `construct` returned.
struct berth_function {
  berth_text name;
  berth_text signature;  ///< encoded `berth::signature` of all parameters, bound ones included
  std::uint32_t flags;
  std::uint32_t parameter_count;
  std::uint32_t source_count;
  std::uint32_t reserved;
  /// Decodes bound arguments once; calls then bring the other parameters only. Null on failure. Null for methods.
  void* (*bind)(const berth_bound* bound, std::uint32_t count, const berth_sink* sink);
  void (*unbind)(void* state);
  int (*invoke)(void* state, const berth_call* call, const berth_sink* sink);
  /// Starts a stream: returns its generator, or null after a failure. Nothing of the function's body has run yet.
  void* (*open)(void* state, const berth_call* call, const berth_sink* sink);
  int (*next)(void* generator, const berth_sink* sink);
  void (*close)(void* generator);
};

/// An exported function (one element in `functions`) or class (its methods).
struct berth_export {
  berth_text symbol;
  std::uint32_t flags;
  std::uint32_t concurrency;  ///< calls a replica may run at once
  berth_text constructor;     ///< encoded signature of the constructor; empty for functions
  const berth_function* functions;
  std::uint32_t function_count;
  std::uint32_t reserved;
  /// All parameters of the constructor are bound. Null on failure. Runs once a replica.
  void* (*construct)(const berth_bound* bound, std::uint32_t count, const berth_sink* sink);
  void (*destroy)(void* instance);
};

/// The table of a module. Lives as long as the process; made once, on the first call of the entry.
struct berth_module {
  std::uint32_t size;  ///< of this struct as the module knows it
  std::uint32_t abi;
  const berth_export* exports;
  std::uint32_t export_count;
  std::uint32_t reserved;
  /// Runs the health hooks in order; null when there is none.
  int (*health)(const berth_sink* sink);
  berth_text
      problem;  ///< why the table is unusable (two exports of one symbol); empty when it is fine
};

/// The entry's type; its symbol is `berth_module_v0`.
using berth_module_entry = const berth_module* (*)();

}  // extern "C"

namespace berth::abi {

inline constexpr std::uint32_t version = 0;
inline constexpr const char* entry_symbol = "berth_module_v0";
inline constexpr const char* note_section = ".note.berth";
inline constexpr std::uint32_t note_type = 1;

/// The descriptor of the ELF note: what has to fit before a module's code may run. Texts are zero-padded.
struct stamp {
  std::uint32_t abi = version;
  std::uint32_t pointer_bytes = sizeof(void*);
  char compiler[56] = {};  ///< "gcc 12.2.0", "clang 14.0.6"
  char library[32] = {};   ///< C++ library and the string ABI: "libstdc++ cxx11", "libstdc++ old"
};

static_assert(sizeof(stamp) == 96);

#define BERTH_TEXT_OF_(x) #x
#define BERTH_TEXT_OF(x) BERTH_TEXT_OF_(x)
#if defined(__clang__)
#define BERTH_COMPILER                                                                          \
  "clang " BERTH_TEXT_OF(__clang_major__) "." BERTH_TEXT_OF(__clang_minor__) "." BERTH_TEXT_OF( \
      __clang_patchlevel__)
#else
#define BERTH_COMPILER                                                                \
  "gcc " BERTH_TEXT_OF(__GNUC__) "." BERTH_TEXT_OF(__GNUC_MINOR__) "." BERTH_TEXT_OF( \
      __GNUC_PATCHLEVEL__)
#endif
#if defined(_LIBCPP_VERSION)
#define BERTH_CXX_LIBRARY "libc++"
#elif defined(_GLIBCXX_USE_CXX11_ABI) && _GLIBCXX_USE_CXX11_ABI
#define BERTH_CXX_LIBRARY "libstdc++ cxx11"
#else
#define BERTH_CXX_LIBRARY "libstdc++ old"
#endif

/// The stamp of the code that includes this header, made by the compiler that compiles it.
[[nodiscard]] constexpr stamp own_stamp() {
  stamp s;
  constexpr char compiler[] = BERTH_COMPILER;
  constexpr char library[] = BERTH_CXX_LIBRARY;
  static_assert(sizeof compiler <= sizeof s.compiler && sizeof library <= sizeof s.library);
  for (unsigned i = 0; i < sizeof compiler; ++i)
    s.compiler[i] = compiler[i];
  for (unsigned i = 0; i < sizeof library; ++i)
    s.library[i] = library[i];
  return s;
}

// The note goes into the image by way of the assembler, since no attribute gives a section the type of a note, and
// from a function, so that only an image that registers exports has one. Its group folds those of many objects.
__attribute__((visibility("hidden"), noinline)) inline void leave_stamp() {
  static_assert(version == 0 && sizeof(stamp) == 2 * 4 + 56 + 32 && note_type == 1);
  asm volatile(
      ".pushsection .note.berth,\"aG\",%note,berth_note_v0,comdat\n"
      ".balign 4\n"
      ".long 6, 96, 1\n"
      ".asciz \"berth\"\n"
      ".balign 4\n"
      ".long 0, 8\n"
      "7701: .ascii \"" BERTH_COMPILER
      "\"\n"
      ".zero 56 - (. - 7701b)\n"
      "7702: .ascii \"" BERTH_CXX_LIBRARY
      "\"\n"
      ".zero 32 - (. - 7702b)\n"
      ".popsection\n");
}

}  // namespace berth::abi
