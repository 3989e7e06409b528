// Instructions by which the lanes of a warp speak to each other. The scheduler has let the lanes meet that .sync names.
#include <algorithm>

#include "decoder.h"

namespace emulated {

namespace {

// The lanes must all arrive before any goes on; their mask is the last operand.
void meet(Decoder& d) {
  if (!d.take("sync")) d.unsupported();
  d.instruction.control = Control::sync;
  d.bind<uint32_t>(d.operands() - 1);
}

enum class Shuffle : uint8_t { up, down, bfly, idx };
constexpr std::string_view shuffle_names[] = {"up", "down", "bfly", "idx"};

// Which lane to read, and whether it is in range: the PTX manual's own formula.
std::pair<int, bool> shuffle_source(Shuffle mode, int lane, int b, int c) {
  const int segment = c >> 8 & 31, clamp = c & 31;
  const int highest = (lane & segment) | (clamp & ~segment), lowest = lane & segment;
  switch (b &= 31; mode) {
    case Shuffle::up: return {lane - b, lane - b >= highest};
    case Shuffle::down: return {lane + b, lane + b <= highest};
    case Shuffle::bfly: return {lane ^ b, (lane ^ b) <= highest};
    case Shuffle::idx: return {lowest | (b & ~segment), (lowest | (b & ~segment)) <= highest};
  }
  return {lane, false};
}

// shfl.sync.mode.b32 d[|p], a, b, c, mask
void shuffle(Warp& warp, const Instruction& instruction, Mask mask) {
  const bool two_results = instruction.operands == 6;
  const Operand* inputs = instruction.operand + 1 + two_results;
  std::array<uint32_t, warp_size> values;
  std::copy_n(warp.in<uint32_t>(inputs[0]), warp_size, values.begin());
  each(mask, [&](int lane) {
    auto [source, in_range] = shuffle_source(Shuffle(instruction.mode), lane, int(warp.in<uint32_t>(inputs[1])[lane]),
                                             int(warp.in<uint32_t>(inputs[2])[lane]));
    if (!in_range) source = lane;
    if (!(mask >> source & 1)) throw Fault(text("shuffle from an inactive lane (lane %d reads lane %d)", lane, source));
    warp.out<uint32_t>(instruction.operand[0])[lane] = values[source];
    if (two_results) warp.out<bool>(instruction.operand[1])[lane] = in_range;
  });
}

Handler shfl(Decoder& d) {
  d.instruction.mode = d.take_one_of(shuffle_names);
  meet(d);
  const int results = d.operands() == 6 ? 2 : 1;
  if (results == 2) d.bind<bool>(1);
  for (int k : {0, results, results + 1, results + 2}) d.bind<uint32_t>(k);
  return shuffle;
}

enum class Vote : uint8_t { ballot, any, all, uni };
constexpr std::string_view vote_names[] = {"ballot", "any", "all", "uni"};

// vote.sync.mode d, {!}p, mask
void vote(Warp& warp, const Instruction& instruction, Mask mask) {
  Mask yes = 0;
  each(mask, [&](int lane) { yes |= Mask(warp.predicate(instruction.operand[1], lane)) << lane; });
  const uint32_t result[] = {yes, yes != 0, yes == mask, yes == mask || yes == 0};
  each(mask, [&](int lane) { warp.set_bits(instruction.operand[0], lane, result[instruction.mode]); });
}

Handler vote_op(Decoder& d) {
  d.instruction.mode = d.take_one_of(vote_names);
  meet(d);
  d.bind(0, 4);
  d.bind<bool>(1);
  return vote;
}

// match.any.sync d, a, mask: the lanes with the same value; match.all.sync d[|p]: all of them if they agree, else none.
template <class T>
void match(Warp& warp, const Instruction& instruction, Mask mask) {
  const bool all = instruction.mode, two_results = instruction.operands == 4;
  const T* values = warp.in<T>(instruction.operand[1 + two_results]);
  std::array<Mask, warp_size> equal{};
  each(mask,
       [&](int lane) { each(mask, [&](int other) { equal[lane] |= Mask(values[other] == values[lane]) << other; }); });
  each(mask, [&](int lane) {
    const bool agree = equal[lane] == mask;
    warp.out<uint32_t>(instruction.operand[0])[lane] = all && !agree ? 0 : equal[lane];
    if (two_results) warp.out<bool>(instruction.operand[1])[lane] = agree;
  });
}

Handler match_op(Decoder& d) {
  d.instruction.mode = d.take("all");
  d.take("any");
  meet(d);
  const bool two_results = d.operands() == 4;
  d.bind<uint32_t>(0);
  if (two_results) d.bind<bool>(1);
  return for_type<uint32_t, uint64_t>(d, d.type(), [&]<class T> {
    d.bind<T>(1 + two_results);
    return &match<T>;
  });
}

template <class T, class F>
Handler reduction(Decoder& d, F) {
  d.bind<T>(0);
  d.bind<T>(1);
  return [](Warp& warp, const Instruction& instruction, Mask mask) {
    const T* values = warp.in<T>(instruction.operand[1]);
    T result = values[std::countr_zero(mask)];
    each(mask & (mask - 1), [&](int lane) { result = F{}(result, values[lane]); });
    each(mask, [&](int lane) { warp.out<T>(instruction.operand[0])[lane] = result; });
  };
}

Handler redux(Decoder& d) {
  meet(d);
  auto of = [&](auto f) {
    return for_type<uint32_t, int32_t>(d, d.type(), [&]<class T> { return reduction<T>(d, f); });
  };
  if (d.take("add")) return of([](auto a, auto b) { return a + b; });
  if (d.take("min")) return of([](auto a, auto b) { return std::min(a, b); });
  if (d.take("max")) return of([](auto a, auto b) { return std::max(a, b); });
  if (d.take("and")) return of([](auto a, auto b) { return a & b; });
  if (d.take("or")) return of([](auto a, auto b) { return a | b; });
  if (d.take("xor")) return of([](auto a, auto b) { return a ^ b; });
  d.unsupported();
}

// elect.sync d|p, mask: p is true in one lane, d its number.
Handler elect(Decoder& d) {
  meet(d);
  d.bind<uint32_t>(0);
  d.bind<bool>(1);
  return [](Warp& warp, const Instruction& instruction, Mask mask) {
    const int leader = std::countr_zero(mask);
    each(mask, [&](int lane) {
      warp.out<uint32_t>(instruction.operand[0])[lane] = leader;
      warp.out<bool>(instruction.operand[1])[lane] = lane == leader;
    });
  };
}

Handler activemask(Decoder& d) {
  d.bind<uint32_t>(0);
  return [](Warp& warp, const Instruction& instruction, Mask mask) {
    each(mask, [&](int lane) { warp.out<uint32_t>(instruction.operand[0])[lane] = mask; });
  };
}

}  // namespace

void add_warp_ops(Table& table) {
  table["shfl"] = shfl;
  table["vote"] = vote_op;
  table["match"] = match_op;
  table["redux"] = redux;
  table["elect"] = elect;
  table["activemask"] = activemask;
}

}  // namespace emulated
