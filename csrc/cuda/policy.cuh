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
  int blocks;  // of a bounded launch for each multiprocessor: those that fill its threads. More would only leave more
               // partial sums, and more blocks to find that there is nothing to do.
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

template <class T>
inline constexpr int resident_blocks = sizeof(T) == 8 ? policy.float64_blocks : policy.float32_blocks;

// Logits of the formulas with the most parameters want some 70 registers in float32, too.
template <class T>
inline constexpr int resident_logit_blocks = sizeof(T) == 8 ? policy.float64_blocks : 3;

// What lives through several passes takes more registers than other kernels have, on every GPU: a row's results until
// its gradient is written, what four pixels keep of all their classes.
template <class T>
inline constexpr int resident_pass_blocks = sizeof(T) == 8 ? 2 : 4;

// Rows with two targets have more to remember than others.
template <class Formula, class T>
inline constexpr int resident_row_blocks = sizeof(T) == 4 && Formula::by_two ? 3 : resident_pass_blocks<T>;

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
