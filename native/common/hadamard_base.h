// Hadamard matrices whose order is not a power of two, constructed.
#ifndef SYLVESTER_NATIVE_COMMON_HADAMARD_BASE_H_
#define SYLVESTER_NATIVE_COMMON_HADAMARD_BASE_H_

#include <cstdint>
#include <vector>

namespace sylvester {

// Whether base and table (SYL_HADAMARD_TABLE_*) name a matrix. Base 1 has the default table.
bool HasHadamardBase(int32_t base, int32_t table);

// The matrix [base][base], entries +1 and -1, rows orthogonal. base and table name one. May throw std::bad_alloc.
std::vector<int8_t> HadamardBase(int32_t base, int32_t table);

}  // namespace sylvester

#endif
