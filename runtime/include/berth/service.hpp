#pragma once
// Handles of service classes: a struct with a function handle for each exported method.
//
//   BERTH_CLASS(embedder(weights), embed, dimension);
//   auto e = rt.service<embedder>("lm/embed");   e.embed(words);   e.dimension.async();
//
// Without the class, `rt.bind<api>("nlp")` fills a struct of function handles by the names of its members.

#include <berth/describe.hpp>
#include <berth/function.hpp>
#include <berth/reflect.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace berth::detail {

/// The function handle of an exported method.
template <auto Method>
using method_handle = function<typename function_type<decltype(Method)>::plain>;

template <class C>
concept exported_class = requires(C* c) {
  berth_service_of(c);
};

template <class C>
using class_handle =
    typename decltype(berth_service_of(static_cast<C*>(nullptr)))::template handle<method_handle>;

template <class T>
inline constexpr bool is_function_handle = false;
template <class F>
inline constexpr bool is_function_handle<function<F>> = true;

template <class F>
struct handle_signature;

template <class F>
struct handle_signature<function<F>> {
  using type = F;
};

}  // namespace berth::detail
