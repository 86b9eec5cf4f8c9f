// The device says what the processor says: tokens, labels, flags and errors.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "native/cuda/emulator/fiber.h"
#include "tests/native/cuda/spec/batch.h"

namespace {

using namespace sylvester_test;

class CudaSpecVerify : public CudaSpec {
 protected:
  // Sequences of a batch that agree; the rest is told.
  void Compare(const SpecShape& shape) {
    SpecBatch batch(shape);
    const bool labels = shape.seed % 4 != 0;
    const SpecOutcome cpu = VerifyOnCpu(batch, labels);
    SpecDevice device(library(), batch, labels);
    const SpecOutcome cuda = device.Verify();
    if (!(cpu == cuda)) {
      ++different_;
      if (different_ > 3) return;
      ADD_FAILURE() << batch.Name() << ": \"" << cpu.error << "\" on the processor, \"" << cuda.error << "\" here";
      for (int64_t s = 0; s < shape.sequences; ++s) {
        const auto i = static_cast<size_t>(s);
        if (cpu.accepted[i] == cuda.accepted[i] && cpu.next_token[i] == cuda.next_token[i]) continue;
        ADD_FAILURE() << "sequence " << s << ": " << cpu.accepted[i] << ", " << cpu.next_token[i] << " and "
                      << cuda.accepted[i] << ", " << cuda.next_token[i];
      }
      return;
    }
    sequences_ += shape.sequences;
    failures_ += cpu.status != SYL_OK;
    if (cpu.status != SYL_OK) return;
    for (const int32_t accepted : cpu.accepted) ++accepted_[std::min(accepted, 3)];
    for (const int32_t token : cpu.next_token) ends_ += token < 0;
    for (const int32_t flag : cpu.flags) {
      zeros_ += (flag & SYL_SPEC_Q_IS_ZERO) != 0;
      empty_ += (flag & SYL_SPEC_RESIDUAL_IS_EMPTY) != 0;
    }
  }

  // Searching for races, or with sanitizers, the emulator is slower. SYLVESTER_SPEC_TIMES: so many times more batches
  // than every build has.
  int64_t Share(int64_t batches) const {
    const char* times = std::getenv("SYLVESTER_SPEC_TIMES");
    if (times != nullptr) batches *= std::atoll(times);
    return GetParam().options.races || sylvester::emulator::kAddressSanitizer ? batches / 8 : batches;
  }

  void Batches(syl_spec_mode mode, int64_t batches, int64_t sequences) {
    for (int64_t i = 0; i < batches; ++i) {
      const auto seed = static_cast<uint32_t>(1 + i + 100000 * mode);
      SpecRandom random(seed);
      SpecShape shape{mode, sequences, random.Of<int64_t>({1, 2, 3, 4, 5, 7, 8, 12, 16, 17, 31, 33}), 3};
      if (random.OneIn(20)) shape.cols = random.Of<int64_t>({63, 64, 65, 100, 130, 255, 256, 257, 300});
      shape.tree = mode != SYL_SPEC_BLOCK && random.OneIn(2);
      shape.seed = seed;
      Compare(shape);
      if (HasFatalFailure()) return;
    }
    std::printf(
        "mode %d: %lld sequences, accepted 0..3+: %lld %lld %lld %lld, ends %lld, q = 0 %lld, empty %lld, "
        "failed batches %lld\n",
        mode, sequences_, accepted_[0], accepted_[1], accepted_[2], accepted_[3], ends_, zeros_, empty_, failures_);
    EXPECT_EQ(different_, 0);
    for (const long long count : accepted_) EXPECT_GT(count, 0);
    EXPECT_GT(ends_, 0);
    if (mode < SYL_SPEC_TOKEN) return;
    EXPECT_GT(zeros_, 0);
    EXPECT_GT(empty_, 0);
  }

  long long sequences_ = 0, failures_ = 0, different_ = 0, ends_ = 0, zeros_ = 0, empty_ = 0, accepted_[4] = {};
};

INSTANTIATE_TEST_SUITE_P(Libraries, CudaSpecVerify, testing::ValuesIn(CudaRuns()), CudaRunName);

// 10^5 sequences in all on the plain emulator.
TEST_P(CudaSpecVerify, Greedy) { Batches(SYL_SPEC_GREEDY, Share(100), 200); }
TEST_P(CudaSpecVerify, Exact) { Batches(SYL_SPEC_EXACT, Share(130), 200); }
TEST_P(CudaSpecVerify, Token) { Batches(SYL_SPEC_TOKEN, Share(150), 200); }
TEST_P(CudaSpecVerify, Block) { Batches(SYL_SPEC_BLOCK, Share(120), 200); }

// More sequences than blocks.
TEST_P(CudaSpecVerify, ManySequences) {
  Compare({SYL_SPEC_TOKEN, 300, 5, 3, true, 3});
  EXPECT_EQ(different_, 0);
}

TEST_P(CudaSpecVerify, NoSequences) {
  Compare({SYL_SPEC_TOKEN, 0, 5, 3, false, 5});
  EXPECT_EQ(different_, 0);
}

// Some warps and chunks, whole and not.
TEST_P(CudaSpecVerify, LargeVocabularies) {
  uint32_t seed = 900;
  for (const int64_t cols : {4095, 4096, 4097, 12289, 32000}) {
    for (const syl_spec_mode mode : {SYL_SPEC_GREEDY, SYL_SPEC_EXACT, SYL_SPEC_TOKEN, SYL_SPEC_BLOCK}) {
      Compare({mode, 2, cols, 2, mode == SYL_SPEC_TOKEN, ++seed});
    }
  }
  EXPECT_EQ(different_, 0);
}

TEST_P(CudaSpecVerify, LargestVocabulary) {
  for (const uint32_t seed : {9u, 10u, 11u})
    Compare({seed == 9 ? SYL_SPEC_BLOCK : SYL_SPEC_TOKEN, 1, 151936, 2, false, seed});
  EXPECT_EQ(different_, 0);
}

// The most nodes that a sequence may have.
TEST_P(CudaSpecVerify, LargeTrees) {
  for (uint32_t seed = 40; seed < 46; ++seed) Compare({SYL_SPEC_TOKEN, 2, 9, 255, seed % 2 == 0, seed});
  Compare({SYL_SPEC_BLOCK, 2, 9, 255, false, 47});
  EXPECT_EQ(different_, 0);
}

}  // namespace
