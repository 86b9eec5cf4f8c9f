// The libraries show the functions of their headers and nothing else.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>
#include <string>

namespace {

// cuda.h and what it includes belong to libraries of their own.
std::set<std::string> DeclaredFunctions(bool cuda) {
  std::set<std::string> names;
  const std::regex declaration(R"(SYL_API[^;{]*?(syl_\w+)\()");
  for (const auto& header : std::filesystem::directory_iterator(SYLVESTER_SOURCE_DIR "/native/include/sylvester")) {
    if ((header.path().filename().string().rfind("cuda", 0) == 0) != cuda) continue;
    std::ifstream file(header.path());
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    for (std::sregex_iterator match(text.begin(), text.end(), declaration), end; match != end; ++match) {
      names.insert((*match)[1]);
    }
  }
  return names;
}

std::set<std::string> ExportedSymbols(const std::string& library) {
  std::set<std::string> names;
  FILE* nm = popen(("nm -D --defined-only --format=posix " + library).c_str(), "r");
  EXPECT_NE(nm, nullptr);
  char line[1024];
  while (std::fgets(line, sizeof(line), nm) != nullptr) names.insert(std::string(line, std::string(line).find(' ')));
  const int status = pclose(nm);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "nm failed on " << library;
  return names;
}

void ExpectSame(const std::set<std::string>& declared, const std::set<std::string>& exported) {
  for (const std::string& name : declared) EXPECT_EQ(exported.count(name), 1u) << name << " is declared only";
  for (const std::string& name : exported) EXPECT_EQ(declared.count(name), 1u) << name << " is exported only";
}

TEST(Exports, AreTheFunctionsOfTheHeaders) {
  const std::set<std::string> declared = DeclaredFunctions(false);
  EXPECT_GE(declared.size(), 30u);
  ExpectSame(declared, ExportedSymbols(SYLVESTER_LIBRARY));
}

class CudaExports : public testing::TestWithParam<const char*> {};

TEST_P(CudaExports, AreTheFunctionsOfCuda) {
  const std::set<std::string> declared = DeclaredFunctions(true);
  EXPECT_GE(declared.size(), 20u);
  ExpectSame(declared, ExportedSymbols(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Emulated, CudaExports, testing::Values(SYLVESTER_CUDA_EMU_LIBRARY));
#ifdef SYLVESTER_CUDA_LIBRARY
INSTANTIATE_TEST_SUITE_P(Built, CudaExports, testing::Values(SYLVESTER_CUDA_LIBRARY));
#endif

}  // namespace
