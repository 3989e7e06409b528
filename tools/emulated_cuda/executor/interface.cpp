// What Python calls (executor.py). Errors come back as text; an empty text is success.
#include <cstdio>
#include <exception>

#include "machine.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace emulated {

template <class F>
void reporting(char* error, size_t bytes, F f) {
  error[0] = 0;
  try {
    f();
  } catch (const std::exception& e) {
    std::snprintf(error, bytes, "%s", e.what());
  }
}

EXPORT Kernel* emulated_kernel_new(const EncodedKernel* encoded, char* error, size_t error_bytes) {
  Kernel* kernel = nullptr;
  reporting(error, error_bytes, [&] { kernel = new Kernel(*encoded); });
  return kernel;
}

EXPORT void emulated_kernel_delete(Kernel* kernel) { delete kernel; }

EXPORT void emulated_launch(const LaunchRequest* request) {
  reporting(request->error, request->error_bytes, [&] { Launch(*request).run(); });
}

}  // namespace emulated
