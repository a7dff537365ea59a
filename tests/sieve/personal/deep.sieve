require ["include"];
include "nested";
include :once "flag";
include :once "flag";
