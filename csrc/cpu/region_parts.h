// How the work on regions is divided among threads: a part is a stretch of one image's pixels, in all classes. Its size
// depends only on the shape of the logits. So the sums do not depend on the number of threads.
#pragma once

#include <algorithm>

#include "../core/region_arguments.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

inline constexpr int64_t part_unit = 1024;        // pixels
inline constexpr int64_t logits_of_part = 32768;  // some 10 microseconds of work

inline int64_t pixels_of_part(const RegionArguments& a) {
  const int64_t units = logits_of_part / part_unit / std::max<int64_t>(a.classes, 1);
  return std::max<int64_t>(units, 1) * part_unit;
}

inline int64_t parts_of_image(const RegionArguments& a) {
  return (a.pixels + pixels_of_part(a) - 1) / pixels_of_part(a);
}

inline int64_t parts_of(const RegionArguments& a) { return a.images * parts_of_image(a); }

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
