#pragma once

// as: how a foreign type travels.
//
// A type berth cannot take apart (a class with private members, a library's type) travels as another one:
//
//   template <> struct berth::as<geo::point> {
//     using wire = std::array<double, 2>;
//     static wire to(const geo::point& p) { return {p.lat(), p.lon()}; }
//     static geo::point from(wire w) { return geo::point::at(w[0], w[1]); }
//   };
//
// `from` may throw `berth::error` (or anything derived from std::exception) to refuse a value. The foreign type must
// be default-constructible when it stands inside a container or an aggregate.

namespace berth {

/// Specialise for a foreign type; see the head of this file. Not defined otherwise.
template <class T>
struct as;

}  // namespace berth
