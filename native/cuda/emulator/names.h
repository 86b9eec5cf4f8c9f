// Names for the texts of faults.
#ifndef SYLVESTER_NATIVE_CUDA_EMULATOR_NAMES_H_
#define SYLVESTER_NATIVE_CUDA_EMULATOR_NAMES_H_

#include <string>

#include "native/cuda/emulator/block.h"

namespace sylvester::emulator {

const char* PrimitiveName(Primitive primitive);
// A function's name with its template arguments, from the symbols of the file that it was loaded from; hidden and
// static functions have theirs there as well. Its address where the file is stripped.
std::string FunctionName(const void* function);

}  // namespace sylvester::emulator

#endif
