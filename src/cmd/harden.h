// SPDX-License-Identifier: Apache-2.0
// What every subcommand does first, since private keys are in its memory and it must not limp on
// without any.

#pragma once

namespace contour::cmd {

// No core dumps, nor reading of the memory by other processes of the same user (not even by a
// pattern that pipes dumps to a program). When memory runs out: a message on stderr and exit code
// 1, at once; a restart begins clean.
void Harden();

}  // namespace contour::cmd
