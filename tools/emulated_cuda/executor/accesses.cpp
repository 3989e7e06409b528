// Loads, stores, atomics and fences.
#include <algorithm>

#include "decoder.h"

namespace emulated {

namespace {

constexpr unsigned max_access = 32;

// The sectors that a warp's access to global memory touches, and its bytes.
class Traffic {
 public:
  void add(uint64_t address, unsigned bytes) {
    sectors_[count_++] = address / sector;
    sectors_[count_++] = (address + bytes - 1) / sector;
    bytes_ = bytes;
  }
  void book(Totals& totals, uint64_t& bytes, uint64_t& sectors) {
    if (!count_) return;
    if (!std::is_sorted(sectors_, sectors_ + count_)) std::sort(sectors_, sectors_ + count_);
    sectors += std::unique(sectors_, sectors_ + count_) - sectors_;
    bytes += uint64_t(count_ / 2) * bytes_;
    totals.widths[std::countr_zero(bytes_)] += count_ / 2;
  }

 private:
  uint64_t sectors_[2 * warp_size];
  unsigned count_ = 0, bytes_ = 0;
};

uint64_t address_of(const Warp& warp, const Instruction& instruction, const Operand& base, int lane) {
  uint64_t address = warp.bits(base, lane) + instruction.offset;
  return base.width == 4 ? uint32_t(address) : address;
}

// The bytes of local memory, or of the parameters of a call, that a lane's address means; null for other memory.
std::byte* private_bytes(Warp& warp, const Instruction& instruction, int lane, uint64_t address, unsigned bytes) {
  Launch& launch = *warp.launch;
  bool local = instruction.space == Space::local || (instruction.space == Space::generic && address >= local_window);
  if (!local && instruction.space != Space::call) return nullptr;
  if (instruction.space == Space::generic) address -= local_window;
  if (address % bytes) throw Fault(text("misaligned %u-byte access to local memory", bytes));
  if (address + bytes > uint64_t(launch.kernel.local_bytes))
    throw Fault(
        text("access outside local memory (byte %llu of %d)", (unsigned long long)address, launch.kernel.local_bytes));
  if (local) launch.totals.local_bytes += bytes;
  return warp.local + size_t(lane) * launch.kernel.local_bytes + address;
}

template <class T>
void load_parameter(Warp& warp, const Instruction& instruction, Mask mask) {
  const Operand& base = instruction.operand[instruction.vector];
  each(mask, [&](int lane) {
    uint64_t address = address_of(warp, instruction, base, lane);
    if (address + instruction.vector * sizeof(T) > warp.launch->param_bytes)
      throw Fault("access outside the kernel's parameters");
    for (unsigned k = 0; k < instruction.vector; ++k) {
      T value = copied<T>(warp.launch->params + address + k * sizeof(T));
      warp.set_bits(instruction.operand[k], lane, uint64_t(int64_t(value)));
    }
  });
}

template <class T>
void load(Warp& warp, const Instruction& instruction, Mask mask) {
  const unsigned vector = instruction.vector, bytes = vector * sizeof(T);
  const Operand& base = instruction.operand[vector];
  Memory& memory = warp.launch->memory;
  Traffic traffic;
  each(mask, [&](int lane) {
    T values[max_access / sizeof(T)];
    uint64_t address = address_of(warp, instruction, base, lane);
    if (std::byte* own = private_bytes(warp, instruction, lane, address, bytes)) {
      std::memcpy(values, own, bytes);
    } else {
      Place place = memory.locate(warp, instruction, address, bytes);
      memory.load(warp, lane, instruction, place, values, bytes);
      if (!place.region->shared) traffic.add(address, bytes);
    }
    for (unsigned k = 0; k < vector; ++k) warp.set_bits(instruction.operand[k], lane, uint64_t(int64_t(values[k])));
  });
  traffic.book(warp.launch->totals, warp.launch->totals.load_bytes, warp.launch->totals.load_sectors);
}

template <class T>
void store(Warp& warp, const Instruction& instruction, Mask mask) {
  const unsigned vector = instruction.vector, bytes = vector * sizeof(T);
  Memory& memory = warp.launch->memory;
  Traffic traffic;
  each(mask, [&](int lane) {
    T values[max_access / sizeof(T)];
    for (unsigned k = 0; k < vector; ++k) values[k] = T(warp.bits(instruction.operand[k + 1], lane));
    uint64_t address = address_of(warp, instruction, instruction.operand[0], lane);
    if (std::byte* own = private_bytes(warp, instruction, lane, address, bytes)) {
      std::memcpy(own, values, bytes);
    } else {
      Place place = memory.locate(warp, instruction, address, bytes);
      memory.store(warp, lane, instruction, place, values, bytes);
      if (!place.region->shared) traffic.add(address, bytes);
    }
  });
  traffic.book(warp.launch->totals, warp.launch->totals.store_bytes, warp.launch->totals.store_sectors);
}

// What ld, st, atom and red have in common. Hints to the caches change nothing.
void take_access(Decoder& d) {
  Instruction& i = d.instruction;
  i.space = d.take("global") || d.take("const") ? Space::global
            : d.take("shared")                  ? Space::shared
            : d.take("local")                   ? Space::local
            : d.take("param")                   ? Space::param
            : d.take("call")                    ? Space::call  // encode.py's word for the .param of a called function
                                                : Space::generic;
  i.vector = d.take("v8") ? 8 : d.take("v4") ? 4 : d.take("v2") ? 2 : 1;
  i.read_only = d.take("nc");
  i.acquire = d.take("acquire") || d.take("acq_rel");
  i.release = d.take("release") || d.take("acq_rel");
  i.strong = d.take("relaxed") || d.take("volatile") || i.acquire || i.release;
  i.block_scope = d.take("cta");
  for (const char* scope : {"cluster", "gpu", "sys"}) d.take(scope);
  for (const char* hint : {"ca", "cg", "cs", "lu", "cv", "wb", "wt", "L1", "L2", "evict_first", "evict_last",
                           "evict_normal", "evict_unchanged", "no_allocate", "64B", "128B", "256B", "cache_hint"})
    d.take(hint);
}

template <class Make>
Handler for_memory_type(Decoder& d, Make make) {
  Type type = d.type();
  if (type == Type::f16 || type == Type::bf16) type = Type::u16;
  if (type == Type::f32 || type == Type::f16x2 || type == Type::bf16x2) type = Type::u32;
  if (type == Type::f64) type = Type::u64;
  return for_type<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, uint64_t, int64_t>(d, type, make);
}

Handler ld(Decoder& d) {
  take_access(d);
  return for_memory_type(d, [&]<class T> {
    for (int k = 0; k < d.instruction.vector; ++k) d.bind(k, sizeof(T));
    d.bind(d.instruction.vector, 8);
    return d.instruction.space == Space::param ? &load_parameter<T> : &load<T>;
  });
}

Handler st(Decoder& d) {
  take_access(d);
  if (d.instruction.space == Space::param) d.unsupported();
  return for_memory_type(d, [&]<class T> {
    d.bind(0, 8);
    for (int k = 1; k <= d.instruction.vector; ++k) d.bind(k, sizeof(T));
    return &store<T>;
  });
}

// --- Atomics. ---

enum class Atomic : uint8_t { add, min, max, and_, or_, xor_, exch, cas, inc, dec };
constexpr std::string_view atomic_names[] = {"add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec"};

template <class T>
T combined(Atomic op, T old, T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    switch (op) {
      case Atomic::and_: return old & a;
      case Atomic::or_: return old | a;
      case Atomic::xor_: return old ^ a;
      case Atomic::inc: return old >= a ? 0 : old + 1;
      case Atomic::dec: return old == 0 || old > a ? a : old - 1;
      default: break;
    }
  }
  switch (op) {
    case Atomic::add: return is_small<T> ? T(double(old) + double(a)) : T(old + a);
    case Atomic::min: return a < old ? a : old;
    case Atomic::max: return a > old ? a : old;
    case Atomic::cas: return std::memcmp(&old, &a, sizeof old) ? old : b;
    default: return a;  // exch
  }
}

// atom d, [address], a, b; red has no d. A pair of f16 is two atomics. The lanes take turns from another one on each
// time, so that a result that depends on their order differs from launch to launch, as on a GPU.
template <class T, int Elements, bool Returns>
void atomic(Warp& warp, const Instruction& instruction, Mask mask) {
  Launch& launch = *warp.launch;
  const Operand* operand = instruction.operand + Returns;
  const bool two_values = instruction.operands - Returns > 2;
  const int first = int(launch.below(warp_size));
  for (int n = 0; n < warp_size; ++n) {
    const int lane = (first + n) % warp_size;
    if (!(mask >> lane & 1)) continue;
    constexpr unsigned bytes = sizeof(T) * Elements;
    Place place = launch.memory.locate(warp, instruction, address_of(warp, instruction, operand[0], lane), bytes);
    auto* memory = reinterpret_cast<T*>(launch.memory.atomic(warp, lane, instruction, place, bytes));
    launch.totals.atomics += !place.region->shared;
    for (int i = 0; i < Elements; ++i) {
      const int e = lane * Elements + i;
      T old = memory[i], a = warp.in<T>(operand[1])[e], b = two_values ? warp.in<T>(operand[2])[e] : T();
      memory[i] = combined(Atomic(instruction.mode), old, a, b);
      if (Returns) warp.out<T>(instruction.operand[0])[e] = old;
    }
  }
}

template <bool Returns>
Handler atom(Decoder& d) {
  take_access(d);
  d.take("noftz");
  d.instruction.strong = true;
  d.instruction.mode = d.take_one_of(atomic_names);
  if (d.instruction.vector > 1) d.unsupported();
  auto bind_all = [&]<class T>() {
    for (int k = 0; k < d.operands(); ++k) k == Returns ? d.bind(k, 8) : d.bind<T>(k);
  };
  if (d.type() == Type::f16x2 || d.type() == Type::bf16x2) {
    bind_all.template operator()<uint32_t>();
    return d.type() == Type::f16x2 ? &atomic<Half, 2, Returns> : &atomic<BFloat16, 2, Returns>;
  }
  return for_type<uint16_t, uint32_t, int32_t, uint64_t, int64_t, Half, BFloat16, float, double>(
      d, d.type(), [&]<class T> {
        bind_all.template operator()<T>();
        return &atomic<T, 1, Returns>;
      });
}

// --- Fences. ---

Handler fence(Decoder& d) {
  for (const char* word : {"gl", "sys", "gpu", "cluster", "sc", "acq_rel", "acquire", "release"}) d.take(word);
  d.instruction.block_scope = d.take("cta");
  return [](Warp& warp, const Instruction& instruction, Mask mask) {
    warp.launch->order.fence(warp, mask, instruction.block_scope);
  };
}

}  // namespace

void add_memory_ops(Table& table) {
  table["ld"] = table["ldu"] = ld;
  table["st"] = st;
  table["atom"] = atom<true>;
  table["red"] = atom<false>;
  table["membar"] = table["fence"] = fence;
}

}  // namespace emulated
