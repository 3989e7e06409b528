#pragma once

#include "machine.h"

namespace emulated {

// Runs a warp until all its lanes have ended or wait, or its turn is over. Returns how many instructions it took.
int take_turn(Warp& warp, int longest);

}  // namespace emulated
