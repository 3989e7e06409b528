// How launches are cut: the sizes that are the same for every GPU, and those that depend on its architecture.
#pragma once

namespace iouloss {
inline namespace IOULOSS_ARCH {

// Threads in a block, a multiple of the warp. Four blocks of 256 fill the smallest supported multiprocessor (1024
// threads, 64 K registers), and each thread then has 64 registers.
inline constexpr int threads = 256;

// Consecutive values that a thread handles at a time: as many float32 as one load of 16 bytes brings, which is the
// widest load that all supported GPUs have. Of boxes, a thread handles one at a time.
inline constexpr int per_thread = 4;

struct Policy {
  int architecture;  // the first architecture that has this policy
  int blocks;        // how many fill the threads of a multiprocessor
  // How many resident blocks per multiprocessor __launch_bounds__ asks for. That limits the registers of a thread: to
  // 64 for 4 blocks, 80 for 3, 128 for 2. If nothing is asked for (0), ptxas stops at 48 or 64. No kernel may spill
  // registers.
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

// How much a thread keeps in registers. item: one item at a time. several: four logits with parameters of their own, or
// what lives through several passes, such as a row's results until its gradient is written. more: as several, with two
// target classes.
enum class Registers { item, several, more };

// How many resident blocks per multiprocessor to ask for. With fewer, each thread would have more registers; but fewer
// blocks cost more than these registers gain: see docs/gpu.md.
constexpr int resident(Registers need, bool float64, const Policy& of) {
  if (need == Registers::item) return float64 ? of.float64_blocks : of.float32_blocks;
  return float64 ? 2 : need == Registers::more ? 3 : 4;
}

template <Registers need, class T>
inline constexpr int resident_blocks = resident(need, sizeof(T) == 8, policy);

// Blocks per multiprocessor in a bounded launch. It is a multiple of the resident blocks, because otherwise the last
// wave would leave the multiprocessor half empty. More blocks would only mean more partial sums, and more blocks that
// find nothing to do.
constexpr int bounded(Registers need, bool float64, const Policy& of) {
  const int fitting = resident(need, float64, of);
  return 2 * (fitting > 0 ? fitting : of.blocks);
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
