// How the kernels are cut for a GPU: what is the same on each, and what is not.
#pragma once

namespace iouloss {
inline namespace IOULOSS_ARCH {

// Threads in a block; a multiple of the warp. 256 keeps the registers of every kernel within what full occupancy of
// the smallest supported multiprocessor (1024 threads, 64 K registers) leaves to a thread.
inline constexpr int threads = 256;

// Consecutive values of a thread, but for boxes, where a thread has one box: as many as one load of 16 bytes brings in
// float32, the widest there is on all of them.
inline constexpr int per_thread = 4;

struct Policy {
  int architecture;  // from this one on
  int blocks;        // that fill the threads of a multiprocessor
  // Blocks that a multiprocessor is to hold at least, which bounds the registers of a thread: 4 leave it 64, 3 leave it
  // 80, 2 leave it 128. Where nothing is asked (0), ptxas stops at 48 or 64. No kernel is to spill any.
  int float32_blocks, float64_blocks;
};

inline constexpr Policy policies[] = {
    {75, 4, 0, 3},   // 1024 threads a multiprocessor
    {80, 8, 0, 3},   // 2048
    {86, 6, 0, 3},   // 1536, of sm_89 too
    {90, 8, 0, 3},   // 2048
    {100, 8, 0, 2},  // 2048; ptxas keeps more addresses in registers from here on
    {120, 6, 4, 2},  // 1536
};

constexpr Policy policy_of(int architecture) {
  Policy found = policies[0];
  for (const Policy& policy : policies)
    if (policy.architecture <= architecture) found = policy;
  return found;
}

#if defined(__CUDA_ARCH__)
inline constexpr Policy policy = policy_of(__CUDA_ARCH__ / 10);
#else
inline constexpr Policy policy = policies[0];  // for the host's copy of a kernel's declaration
#endif

// What a thread has to remember: one item at a time; four logits with parameters of their own, or what lives through
// several passes, such as a row's results until its gradient is written; more than that, of two targets.
enum class Kept { item, several, more };

// Blocks that a multiprocessor is to hold. Fewer for the sake of more registers cost more than these gain: docs/gpu.md.
constexpr int resident(Kept kept, bool float64, const Policy& of) {
  if (kept == Kept::item) return float64 ? of.float64_blocks : of.float32_blocks;
  return float64 ? 2 : kept == Kept::more ? 3 : 4;
}

template <Kept kept, class T>
inline constexpr int resident_blocks = resident(kept, sizeof(T) == 8, policy);

// Blocks of a bounded launch for each multiprocessor. More would only leave more partial sums, and more blocks to find
// that there is nothing to do; what is no multiple of those it holds leaves it half empty at the end.
constexpr int bounded(Kept kept, bool float64, const Policy& of) {
  const int held = resident(kept, float64, of);
  return 2 * (held > 0 ? held : of.blocks);
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
