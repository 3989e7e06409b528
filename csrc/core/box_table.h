// The losses of paired boxes: a table of their names, formulas (box_formulas.h) and options.
#pragma once

#include "options.h"

namespace iouloss {

#define IOULOSS_BOX_OPTIONS(X) X(double, gamma) X(double, lambda_) X(double, beta) X(double, theta)
IOULOSS_OPTIONS(BoxOptions, IOULOSS_BOX_OPTIONS);

// No caller chooses the last one. It gives the gradient with respect to the second box: see swapped().
#define IOULOSS_BOX_FORMULAS(X)                     \
  X(iou, LinearIoU)                                 \
  X(log_iou, LogIoU)                                \
  X(square_iou, SquareIoU)                          \
  X(giou, GIoU)                                     \
  X(diou, DIoU)                                     \
  X(ciou, CIoU)                                     \
  X(eiou, EIoU)                                     \
  X(siou, SIoU, POSITIVE(theta))                    \
  X(focal_eiou, FocalEIoU, NOT_NEGATIVE(gamma))     \
  X(cdiou_iou, CDIoU<LinearIoU>, FINITE(lambda_))   \
  X(cdiou_log_iou, CDIoU<LogIoU>, FINITE(lambda_))  \
  X(cdiou_giou, CDIoU<GIoU>, FINITE(lambda_))       \
  X(cdiou_diou, CDIoU<DIoU>, FINITE(lambda_))       \
  X(cdiou_ciou, CDIoU<CIoU>, FINITE(lambda_))       \
  X(bounded_iou, BoundedIoU<false>, POSITIVE(beta)) \
  X(bounded_iou_swapped, BoundedIoU<true>, POSITIVE(beta))

IOULOSS_FORMULAS(BoxFormula, IOULOSS_BOX_FORMULAS);
IOULOSS_TABLE(BoxTable, BoxFormula, BoxOptions, IOULOSS_BOX_FORMULAS);

// The formula of the same loss with its two boxes swapped. Kernels compute the gradient with respect to the first box.
// To get that with respect to the second, a caller swaps the boxes and uses this formula.
constexpr BoxFormula swapped(BoxFormula formula) {
  switch (formula) {
    case BoxFormula::bounded_iou: return BoxFormula::bounded_iou_swapped;
    case BoxFormula::bounded_iou_swapped: return BoxFormula::bounded_iou;
    default: return formula;
  }
}

}  // namespace iouloss
