#include "runtime.h"

#include <stdarg.h>

static __thread cudaError_t t_last;
static __thread char t_message[4096];

cudaError_t fail(cudaError_t error, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(t_message, sizeof t_message, format, arguments);
  va_end(arguments);
  return t_last = error;
}

cudaError_t fail_as_told(cudaError_t error) { return t_last = error; }

EXPORT void emulated_message(const char* text) { snprintf(t_message, sizeof t_message, "%s", text); }

EXPORT cudaError_t cudaGetLastError(void) {
  cudaError_t error = t_last;
  t_last = cudaSuccess;
  return error;
}
EXPORT cudaError_t cudaPeekAtLastError(void) { return t_last; }
EXPORT const char* cudaGetErrorString(cudaError_t error) { return error == cudaSuccess ? "no error" : t_message; }
EXPORT const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorIllegalAddress: return "cudaErrorIllegalAddress";
    case cudaErrorStreamCaptureUnsupported: return "cudaErrorStreamCaptureUnsupported";
    default: return "cudaError";
  }
}
