#include "runtime.h"

uint64_t clock_get(const Clock* clock, uint32_t stream) { return stream < clock->streams ? clock->done[stream] : 0; }

void clock_set(Clock* clock, uint32_t stream, uint64_t done) {
  if (stream >= clock->streams) {
    uint32_t streams = 2 * stream + 8;
    clock->done = realloc(clock->done, streams * sizeof *clock->done);
    memset(clock->done + clock->streams, 0, (streams - clock->streams) * sizeof *clock->done);
    clock->streams = streams;
  }
  clock->done[stream] = done;
}

void clock_join(Clock* clock, const Clock* other) {
  for (uint32_t i = 0; i < other->streams; i++)
    if (other->done[i] > clock_get(clock, i)) clock_set(clock, i, other->done[i]);
}

void clock_free(Clock* clock) {
  free(clock->done);
  *clock = (Clock){0};
}
