#include "native/cuda/emulator/names.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <vector>

namespace sylvester::emulator {
namespace {

constexpr const char* kPrimitives[] = {
    "",
    "__syncthreads",
    "__syncthreads_count",
    "__syncthreads_and",
    "__syncthreads_or",
    "__syncwarp",
    "__shfl_sync",
    "__shfl_up_sync",
    "__shfl_down_sync",
    "__shfl_xor_sync",
    "__ballot_sync",
    "__all_sync",
    "__any_sync",
    "__match_any_sync",
    "__match_all_sync",
    "__reduce_add_sync",
    "__reduce_min_sync",
    "__reduce_max_sync",
    "__reduce_and_sync",
    "__reduce_or_sync",
    "__reduce_xor_sync",
};

template <typename T>
bool Read(std::ifstream& file, uint64_t offset, uint64_t count, std::vector<T>* items) {
  constexpr uint64_t kMost = 1 << 24;  // no file of ours is larger; a damaged one may say so
  if (count > kMost) return false;
  items->resize(count);
  file.seekg(static_cast<std::streamoff>(offset));
  return static_cast<bool>(
      file.read(reinterpret_cast<char*>(items->data()), static_cast<std::streamsize>(count * sizeof(T))));
}

std::string Symbol(const char* path, uintptr_t address) {
  std::ifstream file(path, std::ios::binary);
  std::vector<ElfW(Ehdr)> header;
  std::vector<ElfW(Shdr)> sections;
  if (!Read(file, 0, 1, &header) || std::memcmp(header[0].e_ident, ELFMAG, SELFMAG) != 0) return {};
  if (!Read(file, header[0].e_shoff, header[0].e_shnum, &sections)) return {};
  if (header[0].e_type == ET_EXEC) return {};  // has absolute addresses; what is built here has not
  for (const auto& section : sections) {
    if (section.sh_type != SHT_SYMTAB || section.sh_link >= sections.size()) continue;
    std::vector<ElfW(Sym)> symbols;
    std::vector<char> names;
    const auto& strings = sections[section.sh_link];
    if (!Read(file, section.sh_offset, section.sh_size / sizeof(ElfW(Sym)), &symbols) ||
        !Read(file, strings.sh_offset, strings.sh_size, &names) || names.empty() || names.back() != '\0') {
      return {};
    }
    for (const auto& symbol : symbols) {
      if (symbol.st_value == address && (symbol.st_info & 0xf) == STT_FUNC && symbol.st_name < names.size()) {
        return &names[symbol.st_name];
      }
    }
  }
  return {};
}

}  // namespace

const char* PrimitiveName(Primitive primitive) { return kPrimitives[static_cast<size_t>(primitive)]; }

std::string FunctionName(const void* function) {
  char address[32];
  std::snprintf(address, sizeof(address), "%p", function);
  Dl_info info;
  if (dladdr(function, &info) == 0) return address;
  const std::string symbol =
      Symbol(info.dli_fname, reinterpret_cast<uintptr_t>(function) - reinterpret_cast<uintptr_t>(info.dli_fbase));
  if (symbol.empty()) return address;
  char* demangled = abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, nullptr);
  const std::string name = demangled != nullptr ? demangled : symbol;
  std::free(demangled);
  return name;
}

}  // namespace sylvester::emulator
