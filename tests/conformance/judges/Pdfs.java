import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.stream.Collectors;
import org.verapdf.gf.foundry.VeraGreenfieldFoundryProvider;
import org.verapdf.pdfa.Foundries;
import org.verapdf.pdfa.PDFAParser;
import org.verapdf.pdfa.PDFAValidator;
import org.verapdf.pdfa.flavours.PDFAFlavour;
import org.verapdf.pdfa.results.ValidationResult;

/** PDF/A by veraPDF: each line of the input is a part and level (1b), a tab and a file. */
public class Pdfs {
  public static void main(String[] arguments) throws Exception {
    Logger.getLogger("").setLevel(Level.OFF);
    VeraGreenfieldFoundryProvider.initialise();
    BufferedReader questions = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line; (line = questions.readLine()) != null;) {
      String[] asked = line.split("\t");
      System.out.println(verdict(PDFAFlavour.fromString(asked[0]), new File(asked[1])));
    }
  }

  /** "ok", or the clauses and numbers of the rules that it breaks. */
  static String verdict(PDFAFlavour flavour, File file) throws Exception {
    try (PDFAParser parser = Foundries.defaultInstance().createParser(file, flavour);
        PDFAValidator validator = Foundries.defaultInstance().createValidator(flavour, false)) {
      ValidationResult result = validator.validate(parser);
      if (result.isCompliant()) {
        return "ok";
      }
      return result.getFailedChecks().keySet().stream()
          .map(rule -> rule.getClause() + "-" + rule.getTestNumber()).sorted().collect(Collectors.joining(" "));
    }
  }
}
